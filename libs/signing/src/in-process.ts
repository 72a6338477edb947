import type { KeyObject } from 'node:crypto';
import { open, seal, sealContext } from '#credential';
import { AuthorityError, type Clock } from '#kernel';
import { encodePrivateKey, generateKeyPair, isKemKey, readPrivateKey, signBytes, type KeyType } from '#pki';
import { findCaKey, insertCaKey, newId, type Database } from '#store';
import type { CaPublicKey, KeyOptions, Signer, SigningPurpose, SignRequest } from './signer.js';

const CA_PURPOSES: readonly SigningPurpose[] = ['certificate', 'crl', 'request'];

interface OpenedKey {
  keyType: KeyType;
  privateKey: KeyObject;
}

/**
 * Holds the CA keys in this process: sealed in the database under `secrets/ca.kek`, read through the signer's own role,
 * opened once. Used by the embedded start, where nothing would be gained by asking itself for the intent again.
 */
export class InProcessSigner implements Signer {
  private readonly opened = new Map<string, OpenedKey>();

  constructor(
    private readonly database: Database,
    private readonly kek: Buffer,
    private readonly clock: Clock,
  ) {}

  async sign(request: SignRequest): Promise<Buffer> {
    if (!CA_PURPOSES.includes(request.purpose)) {
      throw new AuthorityError('forbidden', `a CA key does not sign for the purpose ${request.purpose}`);
    }
    const key = this.opened.get(request.keyId) ?? (await this.openKey(request.keyId));
    return signBytes(key.keyType, key.privateKey, request.message);
  }

  async createKey(keyType: KeyType, options: KeyOptions = {}): Promise<CaPublicKey> {
    if (options.location === 'pkcs11') throw new AuthorityError('invalid', 'no PKCS#11 token is set up here');
    if (isKemKey(keyType)) throw new AuthorityError('invalid', `a key of type ${keyType} cannot sign certificates`);
    const { privateKey, publicKey } = await generateKeyPair(keyType);
    const keyId = newId(this.clock);
    const { spki } = publicKey;
    const plain = encodePrivateKey(privateKey);
    const sealedPrivate = seal(this.kek, plain, contextOf(keyId, keyType, spki));
    plain.fill(0);
    await this.database.transaction((tx) => insertCaKey(tx, { id: keyId, keyType, spki, sealedPrivate }));
    return { keyId, keyType, spki };
  }

  private async openKey(keyId: string): Promise<OpenedKey> {
    const row = await this.database.transaction((tx) => findCaKey(tx, keyId));
    if (row === undefined) throw new AuthorityError('notFound', 'no such CA key');
    const keyType = row.keyType as KeyType;
    const plain = open(this.kek, row.sealedPrivate, contextOf(row.id, keyType, row.spki));
    const key = { keyType, privateKey: readPrivateKey(plain) };
    plain.fill(0);
    this.opened.set(keyId, key);
    return key;
  }
}

/** A sealed key opens only as the key it was sealed as: a row swapped or retyped in the database does not. */
function contextOf(keyId: string, keyType: string, spki: Buffer): Buffer {
  return sealContext('ca-key', { keyId, keyType, spki: spki.toString('hex') });
}
