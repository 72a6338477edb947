import { open, reseal, seal, sealContext, type KeyRing, type SealingKey } from '#credential';
import { AuthorityError, type Clock } from '#kernel';
import { encodePrivateKey, generateKeyPair, isKemKey, readPrivateKey, signBytes, type KeyType } from '#pki';
import { findCaKey, insertCaKey, newId, type CaKeyRow, type Database } from '#store';
import type { CaPublicKey, KeyLocation, KeyOptions, Signer, SigningPurpose, SignRequest } from './signer.js';
import { createTokenKey, signInToken } from './token/token-key.js';
import type { Token } from './token/token.js';

const CA_PURPOSES: readonly SigningPurpose[] = ['certificate', 'crl', 'request'];

/** How a key that was looked up once signs from then on. */
type OpenedKey = (message: Buffer) => Promise<Buffer>;

export interface InProcessOptions {
  /** Where keys may live besides the database. */
  token?: Token | undefined;
  /** Of new keys, unless whoever makes one says otherwise; default: sealed. */
  location?: KeyLocation;
}

/**
 * Holds the CA keys in this process: sealed in the database under `secrets/ca.kek`, read through the signer's own role,
 * opened once; or in a PKCS#11 token, which the row of the key names. Used by the embedded start, where nothing would be
 * gained by asking itself for the intent again, and by the signer process behind its checks.
 */
export class InProcessSigner implements Signer {
  private readonly opened = new Map<string, OpenedKey>();

  constructor(
    private readonly database: Database,
    private readonly kek: SealingKey,
    private readonly clock: Clock,
    private readonly options: InProcessOptions = {},
  ) {}

  async sign(request: SignRequest): Promise<Buffer> {
    if (!CA_PURPOSES.includes(request.purpose)) {
      throw new AuthorityError('forbidden', `a CA key does not sign for the purpose ${request.purpose}`);
    }
    const key = this.opened.get(request.keyId) ?? (await this.openKey(request.keyId));
    return key(request.message);
  }

  async createKey(keyType: KeyType, options: KeyOptions = {}): Promise<CaPublicKey> {
    if (isKemKey(keyType)) throw new AuthorityError('invalid', `a key of type ${keyType} cannot sign certificates`);
    const keyId = newId(this.clock);
    const location = options.location ?? this.options.location ?? 'sealed';
    const made = location === 'pkcs11' ? await this.inToken(keyId, keyType) : await this.sealed(keyId, keyType);
    const row: CaKeyRow = { id: keyId, keyType, ...made };
    await this.database.transaction((tx) => insertCaKey(tx, row));
    return { keyId, keyType, spki: row.spki };
  }

  private async sealed(keyId: string, keyType: KeyType): Promise<Omit<CaKeyRow, 'id' | 'keyType'>> {
    const { privateKey, publicKey } = await generateKeyPair(keyType);
    const { spki } = publicKey;
    const plain = encodePrivateKey(privateKey);
    const sealedPrivate = seal(this.kek, plain, contextOf(keyId, keyType, spki));
    plain.fill(0);
    return { spki, sealedPrivate, location: 'sealed' };
  }

  private async inToken(keyId: string, keyType: KeyType): Promise<Omit<CaKeyRow, 'id' | 'keyType'>> {
    const { token } = this.options;
    if (token === undefined) {
      throw new AuthorityError('invalid', 'no PKCS#11 token is set up here: set TOUCHMARK_PKCS11_MODULE', {
        code: 'keyLocation',
      });
    }
    const spki = await createTokenKey(token, tokenKeyId(keyId), keyType);
    return { spki, sealedPrivate: null, location: tokenLocation(token) };
  }

  private async openKey(keyId: string): Promise<OpenedKey> {
    const row = await this.database.transaction((tx) => findCaKey(tx, keyId));
    if (row === undefined) throw new AuthorityError('notFound', 'no such CA key');
    const keyType = row.keyType as KeyType;
    const key =
      row.sealedPrivate === null ? this.tokenKey(row, keyType) : this.sealedKey(row, row.sealedPrivate, keyType);
    this.opened.set(keyId, key);
    return key;
  }

  private sealedKey(row: CaKeyRow, sealedPrivate: Buffer, keyType: KeyType): OpenedKey {
    const plain = open(this.kek, sealedPrivate, contextOf(row.id, keyType, row.spki));
    const privateKey = readPrivateKey(plain);
    plain.fill(0);
    // Async, so that what fails rejects.
    return async (message) => signBytes(keyType, privateKey, message);
  }

  private tokenKey(row: CaKeyRow, keyType: KeyType): OpenedKey {
    const { token } = this.options;
    if (token === undefined || row.location !== tokenLocation(token)) {
      throw new AuthorityError('unavailable', `the CA key lives in ${row.location}, which is not set up here`, {
        code: 'tokenDown',
        retryAfter: 60,
      });
    }
    return (message) => signInToken(token, tokenKeyId(row.id), keyType, message);
  }
}

/** A sealed key under the version in use; undefined where it is, or lives in a token. */
export function resealCaKey(kek: KeyRing, row: CaKeyRow): Buffer | undefined {
  if (row.sealedPrivate === null) return undefined;
  return reseal(kek, row.sealedPrivate, contextOf(row.id, row.keyType, row.spki));
}

/** CKA_ID: the 16 octets of the key's id. */
const tokenKeyId = (keyId: string): Buffer => Buffer.from(keyId.replaceAll('-', ''), 'hex');
const tokenLocation = (token: Token): string => `pkcs11:${token.label}`;

/** A sealed key opens only as the key it was sealed as: a row swapped or retyped in the database does not. */
function contextOf(keyId: string, keyType: string, spki: Buffer): Buffer {
  return sealContext('ca-key', { keyId, keyType, spki: spki.toString('hex') });
}
