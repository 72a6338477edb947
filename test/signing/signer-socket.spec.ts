import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, rename, rm, stat, writeFile } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { KeyRing } from '#credential';
import { AuthorityError } from '#kernel';
import { ProcessSigner, SignerServer, type Signer, type SignRequest } from '#signing';

const SECRET = randomBytes(32);
const said: string[] = [];
const log = {
  warn: (_: object, message: string) => void said.push(message),
  error: (_: object, message: string) => void said.push(message),
};

/** Answers with the message backwards; `slow` at the front waits until it is told to go on. */
class Backwards implements Signer {
  asked: SignRequest[] = [];
  private readonly gate = Promise.withResolvers<void>();

  goOn = (): void => this.gate.resolve();

  async sign(request: SignRequest): Promise<Buffer> {
    this.asked.push(request);
    if (request.message.subarray(0, 4).toString() === 'slow') await this.gate.promise;
    if (request.keyId === 'refused')
      throw new AuthorityError('forbidden', 'not this key', { code: 'odd', retryAfter: 7 });
    if (request.keyId === 'broken') throw new TypeError('a secret of the inside');
    return Buffer.from(request.message).reverse();
  }

  createKey: Signer['createKey'] = async (keyType, options) => ({
    keyId: options?.location ?? 'default',
    keyType,
    spki: Buffer.from('spki'),
  });
}

let directory: string;
let socketPath: string;
let inner: Backwards;
let server: SignerServer;
let open: { close(): unknown }[];

const client = (secret = SECRET): ProcessSigner => {
  const made = new ProcessSigner(socketPath, KeyRing.of(secret));
  open.push(made);
  return made;
};
const request = (message: Buffer | string, keyId = 'k'): SignRequest => ({
  purpose: 'certificate',
  keyId,
  subject: { intentId: '0a' },
  message: Buffer.from(message),
});

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'touchmark-sock-'));
  socketPath = path.join(directory, 'signer', 'signer.sock');
  inner = new Backwards();
  server = new SignerServer(inner, KeyRing.of(SECRET), log);
  open = [];
  said.length = 0;
  await server.listen(socketPath);
});
afterEach(async () => {
  for (const one of open) await one.close();
  inner.goOn();
  await server.stop();
  await rm(directory, { recursive: true, force: true });
});

describe('the signer behind its socket', () => {
  test('gets what was asked for and gives back what the signer says', async () => {
    const signer = client();
    expect((await signer.sign(request('abc'))).toString()).toBe('cba');
    await signer.sign({ ...request('x'), purpose: 'crl', subject: { artifactId: 'crl/a.crl' } });
    await signer.sign({ ...request('y'), purpose: 'request', subject: { issuerId: 'a' } });
    expect(inner.asked).toEqual([
      request('abc'),
      { ...request('x'), purpose: 'crl', subject: { artifactId: 'crl/a.crl' } },
      { ...request('y'), purpose: 'request', subject: { issuerId: 'a' } },
    ]);
    expect(await signer.createKey('ec-p384', { location: 'pkcs11' })).toEqual({
      keyId: 'pkcs11',
      keyType: 'ec-p384',
      spki: Buffer.from('spki'),
    });
    expect(await signer.createKey('ec-p256')).toMatchObject({ keyId: 'default' });
  });

  test('has many requests in flight on one connection, and slow ones hold up nobody', async () => {
    const signer = client();
    const slow = signer.sign(request('slow'));
    const many = await Promise.all(Array.from({ length: 200 }, (_, n) => signer.sign(request(`n${n}`))));
    expect(many.map((one) => Buffer.from(one).reverse().toString())).toEqual(many.map((_, n) => `n${n}`));
    inner.goOn();
    expect((await slow).toString()).toBe('wols');
  });

  test('takes a CRL of 40 MB whole', async () => {
    const message = randomBytes(40 * 1024 * 1024);
    const signature = await client().sign(request(message));
    expect(signature.equals(Buffer.from(message).reverse())).toBe(true);
  });

  test('passes refusals on as they are, and nothing of what broke inside', async () => {
    const signer = client();
    await expect(signer.sign(request('m', 'refused'))).rejects.toMatchObject({
      kind: 'forbidden',
      detail: 'not this key',
      code: 'odd',
      retryAfter: 7,
    });
    await expect(signer.sign(request('m', 'broken'))).rejects.toMatchObject({
      kind: 'internal',
      detail: 'the signer failed',
    });
  });

  test('lies in a directory of 0700, with rights 0600', async () => {
    expect((await stat(socketPath)).mode & 0o777).toBe(0o600);
    expect((await stat(path.dirname(socketPath))).mode & 0o777).toBe(0o700);
  });

  test('answers nobody who lacks the secret', async () => {
    await expect(client(randomBytes(32)).sign(request('m'))).rejects.toMatchObject({ kind: 'unavailable' });
    expect(inner.asked).toEqual([]);
    expect(said).toContain('ALARM: somebody without the secret, or with broken messages, talks to the signer');
  });

  test('hangs up on a first frame that is too long, from its length alone', async () => {
    const socket = connect(socketPath);
    socket.on('error', () => undefined);
    socket.write(Buffer.from([0x7f, 0xff, 0xff, 0xff]));
    await closed(socket, 1000);
  });

  test('hangs up on whoever says nothing for 2 s', async () => {
    const socket = connect(socketPath);
    await closed(socket, 3000);
  });

  test('hangs up where a message was altered, said twice, or left out on the way', async () => {
    for (const harm of ['alter', 'repeat', 'drop'] as const) {
      const between = await relay(harm);
      const signer = new ProcessSigner(between.path, KeyRing.of(SECRET));
      open.push(signer);
      expect((await signer.sign(request('first'))).toString()).toBe('tsrif');
      between.begin();
      const asked = inner.asked.length;
      const results = await Promise.allSettled([signer.sign(request('second')), signer.sign(request('third'))]);
      const heard = inner.asked.slice(asked).map((one) => one.message.toString());
      // What is altered or out of its place is not heard at all, and nothing is heard twice.
      expect(new Set(heard).size).toBe(heard.length);
      if (harm !== 'repeat') expect(heard).toEqual([]);
      expect(results.some((one) => one.status === 'rejected')).toBe(true);
      await between.close();
    }
  });
});

describe('a client of the signer', () => {
  test('is unavailable while nobody listens, and reaches whoever listens later', async () => {
    const signer = client();
    await signer.sign(request('a'));
    await server.stop();
    await expect(signer.sign(request('b'))).rejects.toMatchObject({ kind: 'unavailable', retryAfter: 2 });
    server = new SignerServer(inner, KeyRing.of(SECRET), log);
    await server.listen(socketPath);
    expect((await signer.sign(request('cd'))).toString()).toBe('dc');
  });

  test('gives up after 2 s on a signer that hangs, with everything that waits on that connection', async () => {
    const signer = client();
    const begin = performance.now();
    await expect(signer.sign(request('slow'))).rejects.toMatchObject({ kind: 'unavailable' });
    expect(performance.now() - begin).toBeLessThan(2500);
    expect((await signer.sign(request('ab'))).toString()).toBe('ba');
  });
});

describe('a secret with versions', () => {
  const [first, second] = [
    { version: 1, key: randomBytes(32) },
    { version: 2, key: randomBytes(32) },
  ];
  const clientWith = (keys: KeyRing): ProcessSigner => {
    const made = new ProcessSigner(socketPath, keys);
    open.push(made);
    return made;
  };

  test('is rotated without a failed request, and a version that was taken away opens nothing, nor keeps open', async () => {
    await server.stop();
    const [ofServer, ofClient] = [new KeyRing([first]), new KeyRing([first])];
    server = new SignerServer(inner, ofServer, log);
    await server.listen(socketPath);
    const [signer, thief] = [clientWith(ofClient), clientWith(new KeyRing([first]))];
    for (const one of [signer, thief]) expect((await one.sign(request('ab'))).toString()).toBe('ba');
    ofServer.replace([first, { ...second, next: true }]);
    ofClient.replace([first, { ...second, next: true }]);
    const slow = signer.sign(request('slow one'));
    ofClient.replace([first, second]);
    expect((await signer.sign(request('ab'))).toString()).toBe('ba');
    ofServer.replace([first, second]);
    inner.goOn();
    expect((await slow).toString()).toBe('eno wols');
    ofServer.replace([second]);
    expect((await signer.sign(request('cd'))).toString()).toBe('dc');
    for (let n = 0; n < 2; n++) {
      await expect(thief.sign(request('ab'))).rejects.toMatchObject({ kind: 'unavailable' });
    }
  });
});

describe('a stop', () => {
  test('answers what is under way', async () => {
    const slow = client().sign(request('slow one'));
    while (inner.asked.length === 0) await delay(5);
    const stopped = server.stop();
    inner.goOn();
    expect((await slow).toString()).toBe('eno wols');
    await stopped;
  });
});

describe('the place of the socket', () => {
  test('left behind by a signer that was killed is taken over', async () => {
    // As a kill leaves it: nobody listens, the name is there.
    await rename(socketPath, `${socketPath}.kept`);
    await server.stop();
    await rename(`${socketPath}.kept`, socketPath);
    server = new SignerServer(inner, KeyRing.of(SECRET), log);
    await server.listen(socketPath);
    expect((await client().sign(request('ab'))).toString()).toBe('ba');
  });

  test('where another signer listens is left to it', async () => {
    await expect(new SignerServer(inner, KeyRing.of(SECRET), log).listen(socketPath)).rejects.toMatchObject({
      kind: 'conflict',
    });
    expect((await client().sign(request('ab'))).toString()).toBe('ba');
  });

  test('that is a file, or too long a name, is refused in one line', async () => {
    const file = path.join(directory, 'file');
    await writeFile(file, 'mine');
    await chmod(file, 0o600);
    await expect(new SignerServer(inner, KeyRing.of(SECRET), log).listen(file)).rejects.toMatchObject({
      kind: 'conflict',
    });
    await expect(
      new SignerServer(inner, KeyRing.of(SECRET), log).listen(`/tmp/${'x'.repeat(120)}`),
    ).rejects.toMatchObject({
      kind: 'invalid',
    });
  });
});

async function closed(socket: Socket, withinMs: number): Promise<void> {
  const end = new Promise<void>((resolve) => socket.on('close', () => resolve()));
  socket.resume();
  const late = delay(withinMs, 'late');
  expect(await Promise.race([end, late])).toBeUndefined();
}

/** Between client and signer, passing on every frame until it is told to begin its harm. */
async function relay(harm: 'alter' | 'repeat' | 'drop') {
  const place = path.join(directory, `${harm}.sock`);
  let harmful = false;
  const sockets: Socket[] = [];
  const listener = createServer((near) => {
    const far = connect(socketPath);
    sockets.push(near, far);
    far.on('data', (chunk: Buffer) => near.write(chunk)).on('close', () => near.destroy());
    near.on('error', () => undefined);
    far.on('error', () => undefined);
    near.on('close', () => far.destroy());
    near.on('data', (chunk: Buffer) => {
      const bytes = Buffer.from(chunk);
      if (harmful && harm === 'alter') bytes[4 + 32 + 8]! ^= 1;
      if (harmful && harm === 'drop') {
        // The first message only: what follows is out of its place then.
        bytes.copyWithin(0, 4 + bytes.readUInt32BE());
        const rest = bytes.length - (4 + chunk.readUInt32BE());
        harmful = false;
        if (rest > 0) far.write(bytes.subarray(0, rest));
        return;
      }
      far.write(bytes);
      if (harmful && harm === 'repeat') far.write(bytes);
    });
  });
  await new Promise<void>((resolve) => listener.listen(place, resolve));
  return {
    path: place,
    begin: () => void (harmful = true),
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => listener.close(resolve));
    },
  };
}
