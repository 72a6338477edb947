import { encodeCsrInfo, readName, readPublicKey } from '#pki';
import { listIssuers } from '#store';
import { refusal, type SignerContext } from './signer-context.js';

/**
 * What a CA of ours that is certified elsewhere asks for (RFC 2986 section 4.1): derived from its row, for its own key. Throws
 * `internal` (code `signerRefused`).
 */
export async function recordedRequest(s: SignerContext, issuerId: string, keyId: string): Promise<Buffer> {
  const row = (await s.database.transaction(listIssuers)).find((one) => one.id === issuerId);
  if (row === undefined) throw refusal('no such CA was recorded');
  if (row.caKeyId !== keyId) throw refusal('the key is not the one of this CA');
  return encodeCsrInfo({ subject: readName(row.subjectDer), publicKey: readPublicKey(row.spki) });
}
