import { createPrivateKey } from 'node:crypto';
import { fromPem, readCertificate, type CmsSigner } from '#pki';
import type { TlsCredentials } from './tls.js';

/**
 * Signs what this server says in CMS: keys that it made, answers to full requests. It is the key that the client has just checked in
 * the handshake, so that nothing else has to be trusted.
 */
export class ServerSigner {
  #signer: CmsSigner;
  #chain: readonly Buffer[];

  constructor(credentials: TlsCredentials) {
    [this.#signer, this.#chain] = open(credentials);
  }

  /** The certificate was renewed. */
  renew(credentials: TlsCredentials): void {
    [this.#signer, this.#chain] = open(credentials);
  }

  get signer(): CmsSigner {
    return this.#signer;
  }

  /** DER, leaf first. */
  get chain(): readonly Buffer[] {
    return this.#chain;
  }
}

function open({ key, cert }: TlsCredentials): [CmsSigner, readonly Buffer[]] {
  const chain = fromPem(cert);
  const [leaf] = chain;
  if (leaf === undefined) throw new RangeError('the TLS credentials hold no certificate');
  return [{ certificate: readCertificate(leaf), privateKey: createPrivateKey(key) }, chain];
}
