import { createHmac, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto';
import { AuthorityError } from '#kernel';
import { frame } from './frames.js';

const NONCE_BYTES = 32;
const MAC_BYTES = 32;
const LABEL = 'touchmark:signer:1';

export type Side = 'client' | 'server';

/** What a message says, without the bytes that it is about. */
export type Header = Readonly<Record<string, unknown>>;

export const newNonce = (): Buffer => randomBytes(NONCE_BYTES);

/** The client's greeting: its nonce, and proof that it holds `secrets/signer.auth`. */
export function greet(secret: Buffer, serverNonce: Buffer, clientNonce: Buffer): Buffer {
  return frame(clientNonce, proof(secret, serverNonce, clientNonce));
}

/** The client's nonce, or undefined for a greeting of somebody who does not hold the secret. */
export function readGreeting(secret: Buffer, serverNonce: Buffer, greeting: Buffer): Buffer | undefined {
  if (greeting.length !== NONCE_BYTES + MAC_BYTES) return undefined;
  const nonce = greeting.subarray(0, NONCE_BYTES);
  const given = greeting.subarray(NONCE_BYTES);
  return timingSafeEqual(given, proof(secret, serverNonce, nonce)) ? Buffer.from(nonce) : undefined;
}

function proof(secret: Buffer, serverNonce: Buffer, clientNonce: Buffer): Buffer {
  return createHmac('sha256', secret).update(`${LABEL}:greeting`).update(serverNonce).update(clientNonce).digest();
}

/**
 * One connection between a client and the signer, after the greeting: each message carries a MAC over direction, position
 * and content under a key of this connection alone, so that what was heard can be neither altered nor said again.
 */
export class Channel {
  private readonly key: Buffer;
  private sent = 0n;
  private taken = 0n;

  constructor(
    private readonly side: Side,
    secret: Buffer,
    nonces: { server: Buffer; client: Buffer },
  ) {
    const salt = Buffer.concat([nonces.server, nonces.client]);
    this.key = Buffer.from(hkdfSync('sha256', secret, salt, LABEL, 32));
  }

  /** The message as a frame. */
  write(header: Header, body: Buffer = Buffer.alloc(0)): Buffer {
    const text = Buffer.from(JSON.stringify(header));
    const length = Buffer.alloc(4);
    length.writeUInt32BE(text.length);
    const mac = this.mac(this.side, this.sent++, [length, text, body]);
    return frame(mac, length, text, body);
  }

  /** The message of a frame. Throws `unauthenticated` where its MAC is not the one due here, `malformed` otherwise. */
  read(content: Buffer): { header: Header; body: Buffer } {
    const mac = content.subarray(0, MAC_BYTES);
    const rest = content.subarray(MAC_BYTES);
    const other = this.side === 'client' ? 'server' : 'client';
    if (mac.length !== MAC_BYTES || !timingSafeEqual(mac, this.mac(other, this.taken++, [rest]))) {
      throw new AuthorityError('unauthenticated', 'a message whose MAC is not the one due');
    }
    const length = rest.length < 4 ? Infinity : rest.readUInt32BE();
    if (length > rest.length - 4) throw new AuthorityError('malformed', 'a message shorter than it says');
    const header = JSON.parse(rest.subarray(4, 4 + length).toString('utf8')) as unknown;
    if (typeof header !== 'object' || header === null)
      throw new AuthorityError('malformed', 'a message without header');
    return { header: header as Header, body: rest.subarray(4 + length) };
  }

  private mac(from: Side, position: bigint, parts: readonly Buffer[]): Buffer {
    const place = Buffer.alloc(8);
    place.writeBigUInt64BE(position);
    const hmac = createHmac('sha256', this.key).update(from).update(place);
    for (const part of parts) hmac.update(part);
    return hmac.digest();
  }
}
