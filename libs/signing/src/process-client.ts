import { connect, type Socket } from 'node:net';
import type { KeyRing } from '#credential';
import { AuthorityError, ERROR_KINDS, type ErrorKind } from '#kernel';
import type { KeyType } from '#pki';
import { signLimitMs, type CaPublicKey, type KeyOptions, type Signer, type SignRequest } from './signer.js';
import { Channel, greet, newNonce, type Header } from './socket/channel.js';
import { FrameReader, MAX_FRAME, MAX_GREETING } from './socket/frames.js';

interface Answer {
  header: Header;
  body: Buffer;
}

interface Pending {
  resolve(answer: Answer): void;
  reject(error: AuthorityError): void;
  timer: NodeJS.Timeout;
}

interface Connection {
  socket: Socket;
  channel: Channel;
  /** The version of the secret that it was made with. */
  key: Buffer;
  pending: Map<number, Pending>;
}

const CONNECT_MS = 1500;
/** A token makes an RSA key in seconds. */
const CREATE_MS = 60_000;

/**
 * A signer in another process, reached over its Unix socket. The connection is made when it is first needed and again
 * whenever it was lost; what was under way then is `unavailable`, and so is what is not answered in `signLimitMs`. A connection on
 * which an answer is overdue is given up: a signer that hangs is not waited for twice.
 */
export class ProcessSigner implements Signer {
  private connection: Promise<Connection> | undefined;
  private current: Connection | undefined;
  private lastId = 0;
  private closed = false;

  constructor(
    private readonly socketPath: string,
    /** Versions of `secrets/signer.auth`; a new connection is made with the one in use. */
    private readonly secrets: Pick<KeyRing, 'current'>,
  ) {}

  async sign(request: SignRequest): Promise<Buffer> {
    const { purpose, keyId, subject, message } = request;
    const { body } = await this.ask({ op: 'sign', purpose, keyId, ...subject }, message, signLimitMs(request));
    return body;
  }

  async createKey(keyType: KeyType, options: KeyOptions = {}): Promise<CaPublicKey> {
    const { header, body } = await this.ask({ op: 'createKey', keyType, ...options }, Buffer.alloc(0), CREATE_MS);
    return { keyId: String(header['keyId']), keyType: header['keyType'] as KeyType, spki: body };
  }

  async close(): Promise<void> {
    this.closed = true;
    const connection = await this.connection?.catch(() => undefined);
    connection?.socket.destroy();
  }

  private async ask(header: Header, body: Buffer, limitMs: number): Promise<Answer> {
    if (this.closed) throw down('the signer was left');
    const connection = await this.connected();
    const id = ++this.lastId;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(down('the signer does not answer'));
        this.lose(connection);
      }, limitMs);
      connection.pending.set(id, { resolve, reject, timer });
      connection.socket.write(connection.channel.write({ ...header, id }, body));
    });
  }

  /** Anew where the secret has another version in use; what is under way on the old connection ends there. */
  private async connected(): Promise<Connection> {
    const connection = await (this.connection ??= this.open());
    if (connection.key.equals(this.secrets.current.key)) return connection;
    if (this.current === connection) {
      this.connection = undefined;
      this.current = undefined;
    }
    if (connection.pending.size === 0) connection.socket.destroy();
    return (this.connection ??= this.open());
  }

  private async open(): Promise<Connection> {
    const socket = connect(this.socketPath);
    try {
      return await this.greet(socket);
    } catch (cause) {
      this.connection = undefined;
      socket.destroy();
      throw down('the signer cannot be reached', cause);
    }
  }

  /** Resolves when the signer has told its nonce and was told ours. */
  private greet(socket: Socket): Promise<Connection> {
    const reader = new FrameReader(MAX_GREETING);
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error('no greeting in time')), CONNECT_MS);
      let connection: Connection | undefined;
      socket.on('error', reject);
      socket.on('close', () => {
        clearTimeout(late);
        reject(new Error('hung up'));
        if (connection) this.lose(connection);
      });
      socket.on('data', (chunk: Buffer) => {
        try {
          for (const content of reader.push(chunk)) {
            if (connection) {
              this.take(connection, content);
              continue;
            }
            clearTimeout(late);
            const client = newNonce();
            const server = Buffer.from(content);
            const { key } = this.secrets.current;
            socket.write(greet(key, server, client));
            reader.limit = MAX_FRAME;
            connection = {
              socket,
              channel: new Channel('client', key, { server, client }),
              key,
              pending: new Map(),
            };
            this.current = connection;
            resolve(connection);
          }
        } catch (error) {
          reject(error as Error);
          socket.destroy();
        }
      });
    });
  }

  private take(connection: Connection, content: Buffer): void {
    const { channel, pending, socket } = connection;
    const { header, body } = channel.read(content);
    const id = Number(header['id']);
    const asked = pending.get(id);
    if (asked === undefined) return;
    pending.delete(id);
    clearTimeout(asked.timer);
    if (pending.size === 0 && this.current !== connection) socket.destroy();
    if (header['ok'] === true) asked.resolve({ header, body: Buffer.from(body) });
    else asked.reject(errorOf(header));
  }

  private lose(connection: Connection): void {
    if (this.current === connection) {
      this.connection = undefined;
      this.current = undefined;
    }
    connection.socket.destroy();
    for (const { reject, timer } of connection.pending.values()) {
      clearTimeout(timer);
      reject(down('the connection to the signer was lost'));
    }
    connection.pending.clear();
  }
}

function errorOf({ kind, detail, code, retryAfter }: Header): AuthorityError {
  const known: ErrorKind = ERROR_KINDS.find((one) => one === kind) ?? 'internal';
  return new AuthorityError(known, typeof detail === 'string' ? detail : 'the signer failed', {
    ...(typeof code === 'string' ? { code } : {}),
    ...(typeof retryAfter === 'number' ? { retryAfter } : {}),
  });
}

function down(detail: string, cause?: unknown): AuthorityError {
  return new AuthorityError('unavailable', detail, { code: 'signerDown', retryAfter: 2, cause });
}
