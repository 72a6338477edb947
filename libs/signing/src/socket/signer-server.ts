import { chmod, mkdir, rm, stat } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import path from 'node:path';
import type { KeyRing } from '#credential';
import { AuthorityError, isAuthorityError } from '#kernel';
import type { KeyType } from '#pki';
import { KEY_LOCATIONS, type KeyLocation, type Signer, type SigningPurpose, type SignRequest } from '../signer.js';
import type { TokenLog } from '../token/token.js';
import { Channel, newNonce, readGreeting, type Header } from './channel.js';
import { frame, FrameReader, MAX_FRAME, MAX_GREETING } from './frames.js';

const MAX_CONNECTIONS = 64;
const MAX_IN_FLIGHT = 256;
const GREETING_MS = 2000;
const DRAIN_MS = 5000;
/** What a path of a Unix socket may have on every system we run on. */
const MAX_PATH = 103;

/**
 * A signer behind a Unix socket, for planes that hold no CA key. The socket's directory is made 0700 and the socket 0600;
 * whoever reaches it must still prove with each message that it holds `secrets/signer.auth`, because Node does not tell
 * whose process the other side is. A connection ends when the version that it was made with is taken away. Many requests are in flight at once on one connection; answers come in any order.
 */
export class SignerServer {
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();
  private inFlight = 0;
  private stopping = false;

  constructor(
    private readonly signer: Signer,
    /** Versions of `secrets/signer.auth`; each of them is taken while it is there. */
    private readonly secrets: Pick<KeyRing, 'keys'>,
    private readonly log: TokenLog,
  ) {
    this.server = createServer((socket) => this.accept(socket));
    this.server.maxConnections = MAX_CONNECTIONS;
  }

  /** Throws `conflict` where another signer listens there already. */
  async listen(socketPath: string): Promise<void> {
    if (Buffer.byteLength(socketPath) > MAX_PATH) {
      throw new AuthorityError('invalid', `TOUCHMARK_SIGNER_SOCKET is longer than ${MAX_PATH} octets: ${socketPath}`);
    }
    const directory = path.dirname(socketPath);
    if ((await mkdir(directory, { recursive: true, mode: 0o700 })) !== undefined) await chmod(directory, 0o700);
    await removeLeftOver(socketPath);
    await new Promise<void>((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen(socketPath, () => {
        this.server.removeListener('error', reject);
        resolve();
      });
    });
    await chmod(socketPath, 0o600);
    this.server.on('error', (err) => this.log.error({ err }, 'the socket of the signer failed'));
  }

  /** Takes nothing new, answers what it has begun, within 5 s. */
  async stop(): Promise<void> {
    this.stopping = true;
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    const late = setTimeout(() => this.hangUp(), DRAIN_MS);
    if (this.inFlight === 0) this.hangUp();
    await closed;
    clearTimeout(late);
  }

  private hangUp(): void {
    for (const socket of this.sockets) socket.destroySoon();
  }

  private accept(socket: Socket): void {
    this.sockets.add(socket);
    const nonce = newNonce();
    const reader = new FrameReader(MAX_GREETING);
    const greeted = setTimeout(() => socket.destroy(), GREETING_MS);
    let channel: Channel | undefined;
    let secret: Buffer | undefined;
    socket.on('close', () => {
      clearTimeout(greeted);
      this.sockets.delete(socket);
    });
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk: Buffer) => {
      try {
        for (const content of reader.push(chunk)) {
          if (channel !== undefined) {
            if (!this.secrets.keys.some((one) => secret?.equals(one))) return void socket.destroy();
            this.take(socket, channel, content);
            continue;
          }
          secret = this.secrets.keys.find((one) => readGreeting(one, nonce, content) !== undefined);
          const client = secret && readGreeting(secret, nonce, content);
          if (secret === undefined || client === undefined)
            throw new AuthorityError('unauthenticated', 'a greeting without the secret');
          clearTimeout(greeted);
          reader.limit = MAX_FRAME;
          channel = new Channel('server', secret, { server: nonce, client });
        }
      } catch (err) {
        this.log.error({ err }, 'ALARM: somebody without the secret, or with broken messages, talks to the signer');
        socket.destroy();
      }
    });
    socket.write(frame(nonce));
  }

  private take(socket: Socket, channel: Channel, content: Buffer): void {
    const { header, body } = channel.read(content);
    // The frame's memory goes on to others; what is signed must not change any more.
    const message = Buffer.from(body);
    this.inFlight++;
    void this.answer(header, message)
      .then(
        (reply) => socket.writable && socket.write(channel.write({ ...reply.header, id: header['id'] }, reply.body)),
      )
      .catch((err: unknown) => this.log.error({ err }, 'an answer of the signer could not be sent'))
      .finally(() => {
        this.inFlight--;
        if (this.stopping && this.inFlight === 0) this.hangUp();
      });
  }

  private async answer(header: Header, message: Buffer): Promise<{ header: Header; body?: Buffer }> {
    try {
      if (this.stopping || this.inFlight > MAX_IN_FLIGHT) {
        throw new AuthorityError('unavailable', 'the signer is stopping, or has too much to do', { retryAfter: 1 });
      }
      if (header['op'] === 'sign')
        return { header: { ok: true }, body: await this.signer.sign(signRequest(header, message)) };
      if (header['op'] === 'createKey') {
        const location = KEY_LOCATIONS.find((one) => one === header['location']);
        const made = await this.signer.createKey(text(header, 'keyType') as KeyType, options(location));
        return { header: { ok: true, keyId: made.keyId, keyType: made.keyType }, body: made.spki };
      }
      throw new AuthorityError('malformed', 'the signer is asked for something unknown');
    } catch (err) {
      if (!isAuthorityError(err)) this.log.error({ err }, 'the signer failed');
      const error = isAuthorityError(err) ? err : new AuthorityError('internal', 'the signer failed');
      const { kind, detail, code, retryAfter } = error;
      return { header: { ok: false, kind, detail, code, retryAfter } };
    }
  }
}

const options = (location: KeyLocation | undefined) => (location === undefined ? {} : { location });

function signRequest(header: Header, message: Buffer): SignRequest {
  const subject = subjectOf(header);
  // Whatever it names, the signer itself refuses a purpose that is not of a CA key.
  return { purpose: text(header, 'purpose') as SigningPurpose, keyId: text(header, 'keyId'), subject, message };
}

function subjectOf(header: Header): SignRequest['subject'] {
  if (header['intentId'] !== undefined) return { intentId: text(header, 'intentId') };
  if (header['issuerId'] !== undefined) return { issuerId: text(header, 'issuerId') };
  return { artifactId: text(header, 'artifactId') };
}

function text(header: Header, member: string): string {
  const value = header[member];
  if (typeof value !== 'string' || value.length > 1000)
    throw new AuthorityError('malformed', `${member} is no text`, { member });
  return value;
}

/** The socket of a signer that was killed stays behind; one that answers belongs to somebody. */
async function removeLeftOver(socketPath: string): Promise<void> {
  const found = await stat(socketPath).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isSocket()) throw new AuthorityError('conflict', `${socketPath} is there and is no socket`);
  const alive = await new Promise<boolean>((resolve) => {
    const socket = connect(socketPath, () => resolve(true)).on('error', () => resolve(false));
    socket.on('close', () => undefined);
    setTimeout(() => socket.destroy(), 100);
  });
  if (alive) throw new AuthorityError('conflict', `another signer listens on ${socketPath}`);
  await rm(socketPath, { force: true });
}
