/** `copy ... from stdin` for the driver, which has no call for it: `await client.query(...)` is not needed, `write` and `end` are. */
export class CopyIn {
  #connection;
  #draining;
  #ready = Promise.withResolvers();
  #done = Promise.withResolvers();

  /** `sql`: the statement, text format. On a client that runs nothing else meanwhile. */
  constructor(client, sql) {
    this.sql = sql;
    this.#ready.promise.catch(() => {});
    this.#done.promise.catch(() => {});
    client.query(this);
  }

  /** Lines, each with its end. Resolves when more may come. */
  async write(text) {
    const connection = await this.#ready.promise;
    if (connection.stream.writableNeedDrain) {
      this.#draining ??= new Promise((resolve) => connection.stream.once('drain', resolve));
      await Promise.race([this.#draining, this.#done.promise]);
      this.#draining = undefined;
    }
    connection.sendCopyFromChunk(Buffer.from(text));
  }

  async end() {
    (await this.#ready.promise).endCopyFrom();
    await this.#done.promise;
  }

  // What follows is called by the driver.
  submit(connection) {
    this.#connection = connection;
    connection.query(this.sql);
  }

  handleCopyInResponse(connection) {
    this.#ready.resolve(connection);
  }

  handleError(error) {
    this.#ready.reject(error);
    this.#done.reject(error);
  }

  handleReadyForQuery() {
    this.#done.resolve();
  }

  handleCommandComplete() {}
}
