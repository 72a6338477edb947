import { withRenewalWindow, type EstResponse } from '#est';
import { readCertificate } from '#pki';
import { renewalWindow } from '#policy';

/** The answer that carries this certificate, DER, with when to renew it. */
export function withWindowOf(certificate: Buffer, response: EstResponse): EstResponse {
  const { serial, notBefore, notAfter } = readCertificate(certificate);
  return withRenewalWindow(response, renewalWindow({ serial: Buffer.from(serial, 'hex'), notBefore, notAfter }));
}
