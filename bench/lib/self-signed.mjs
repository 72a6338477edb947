import { generateKeyPairSync } from 'node:crypto';
import { assembleCertificate, encodeName, newSerial, prepareCertificate, readPublicKey, signBytes, toPem } from '#pki';

/** A P-256 server certificate for a baseline server, PEM. */
export function selfSigned() {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const subject = [[{ type: '2.5.4.3', value: 'localhost' }]];
  const key = readPublicKey(publicKey.export({ type: 'spki', format: 'der' }));
  const now = new Date(Math.floor(Date.now() / 1000) * 1000);
  const prepared = prepareCertificate(
    {
      serial: newSerial(),
      issuer: { subjectDer: encodeName(subject), keyId: key.keyId, keyType: key.keyType },
      subject,
      publicKey: key,
      notBefore: now,
      notAfter: new Date(now.getTime() + 86_399_000),
      basicConstraints: { ca: true },
      keyUsage: ['keyCertSign', 'cRLSign'],
    },
    {
      selfSigned: true,
      issuer: undefined,
      ca: true,
      maxValiditySeconds: 86_400,
      keyTypes: ['ec-p256'],
      keyUsage: ['keyCertSign', 'cRLSign'],
      eku: [],
      san: 'forbidden',
      revocation: 'none',
    },
  );
  const tbs = prepared.consume();
  const der = assembleCertificate(tbs, signBytes(key.keyType, privateKey, tbs), key);
  return { cert: toPem('CERTIFICATE', der), key: privateKey.export({ type: 'pkcs8', format: 'pem' }) };
}
