import { createHash, generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto';

/** What a test changes about what an honest browser and authenticator would send. */
export interface Lies {
  origin?: string;
  rpId?: string;
  challenge?: string;
  type?: string;
  counter?: number;
  userVerified?: boolean;
  userHandle?: string;
  /** Signs with another key than the one that was registered. */
  otherKey?: boolean;
}

interface Options {
  challenge: string;
  rp?: { id?: string };
  rpId?: string;
  user?: { id: string };
}

const sha256 = (data: Buffer | string): Buffer => createHash('sha256').update(data).digest();
const AT = 0x40;
const UV = 0x04;
const UP = 0x01;

/** A discoverable passkey of one person in software: attestation "none", ECDSA P-256 (WebAuthn Level 3 sections 6.1, 6.5, 8.7). */
export class Authenticator {
  readonly id = randomBytes(32);
  counter = 0;
  private readonly keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  private userHandle = '';

  constructor(private readonly origin: string) {}

  get credentialId(): string {
    return this.id.toString('base64url');
  }

  create(options: Options, lies: Lies = {}): object {
    this.userHandle = options.user?.id ?? '';
    const publicKey = coseKey(this.keys.publicKey);
    const length = Buffer.alloc(2);
    length.writeUInt16BE(this.id.length);
    const data = this.data(lies.rpId ?? options.rp?.id ?? '', AT, lies);
    const authData = Buffer.concat([data, Buffer.alloc(16), length, this.id, publicKey]);
    const attestation = map([
      [text('fmt'), text('none')],
      [text('attStmt'), map([])],
      [text('authData'), bytes(authData)],
    ]);
    return this.credential({
      clientDataJSON: this.client('webauthn.create', options.challenge, lies).toString('base64url'),
      attestationObject: attestation.toString('base64url'),
      transports: ['internal'],
    });
  }

  get(options: Options, lies: Lies = {}): object {
    this.counter += 1;
    const client = this.client('webauthn.get', options.challenge, lies);
    const data = this.data(lies.rpId ?? options.rpId ?? '', 0, lies);
    const key = lies.otherKey ? generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey : this.keys.privateKey;
    return this.credential({
      clientDataJSON: client.toString('base64url'),
      authenticatorData: data.toString('base64url'),
      signature: sign('sha256', Buffer.concat([data, sha256(client)]), key).toString('base64url'),
      userHandle: lies.userHandle ?? this.userHandle,
    });
  }

  private credential(response: object): object {
    const { credentialId: id } = this;
    return { id, rawId: id, type: 'public-key', response, clientExtensionResults: {} };
  }

  private client(type: string, challenge: string, lies: Lies): Buffer {
    const { origin = this.origin } = lies;
    return Buffer.from(
      JSON.stringify({ type: lies.type ?? type, challenge: lies.challenge ?? challenge, origin, crossOrigin: false }),
    );
  }

  private data(rpId: string, flags: number, lies: Lies): Buffer {
    const counter = Buffer.alloc(4);
    counter.writeUInt32BE(lies.counter ?? this.counter);
    const verified = lies.userVerified === false ? 0 : UV;
    return Buffer.concat([sha256(rpId), Buffer.from([UP | verified | flags]), counter]);
  }
}

/** RFC 9052 section 7: EC2, ES256, P-256, x, y. */
function coseKey(key: KeyObject): Buffer {
  const { x = '', y = '' } = key.export({ format: 'jwk' });
  return map([
    [head(0, 1), head(0, 2)],
    [head(0, 3), head(1, 6)],
    [head(1, 0), head(0, 1)],
    [head(1, 1), bytes(Buffer.from(x, 'base64url'))],
    [head(1, 2), bytes(Buffer.from(y, 'base64url'))],
  ]);
}

/** RFC 8949 section 3, as much as is needed. */
function head(major: number, value: number): Buffer {
  if (value < 24) return Buffer.from([(major << 5) | value]);
  if (value < 256) return Buffer.from([(major << 5) | 24, value]);
  return Buffer.from([(major << 5) | 25, value >> 8, value & 255]);
}
const bytes = (value: Buffer): Buffer => Buffer.concat([head(2, value.length), value]);
const text = (value: string): Buffer => Buffer.concat([head(3, value.length), Buffer.from(value)]);
const map = (entries: [Buffer, Buffer][]): Buffer => Buffer.concat([head(5, entries.length), ...entries.flat()]);
