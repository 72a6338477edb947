import type { Narrator } from './narrator.js';
import { issueKey, revokeKey, rotateKey } from './steps/api-key.js';
import { enroll, fetchCaCertificates, registerDevice, renew, tryAgain } from './steps/enroll-device.js';
import { proveAudit } from './steps/prove-audit.js';
import { readAudit } from './steps/read-audit.js';
import { registerRelease } from './steps/register-release.js';
import { askForStatus, findInCrl, keepOthersGood, revokeCertificate } from './steps/revoke-certificate.js';
import { showPlanes } from './steps/show-planes.js';
import { beLetIn } from './steps/visit-provider.js';
import type { Workbench } from './workbench.js';

/** One app release, its API key and one of its devices, from registration to revocation. */
export async function playLife(w: Workbench, { step }: Pick<Narrator, 'step'>): Promise<void> {
  await step('The planes of a fresh instance', (t) => showPlanes(w, t));
  const release = await step('Register a vendor, an app and a release', (t) => registerRelease(w, t));
  const key = await step('Issue an API key', (t) => issueKey(w, release, t));
  const successor = await step('Rotate it with an overlap', (t) => rotateKey(w, key, t));
  await step('Revoke the old key', (t) => revokeKey(w, key, successor, t));
  const account = await step('Register a device', (t) => registerDevice(w, release, t));
  const ca = await step('Device: fetch the CA certificates (EST cacerts)', (t) => fetchCaCertificates(w, t));
  const enrolled = await step('Device: enroll with the one-time secret (EST simpleenroll)', (t) =>
    enroll(w, account, ca, t),
  );
  await step('Device: try the secret a second time', (t) => tryAgain(w, account, enrolled, t));
  const first = { account, ca, identity: enrolled.identity };
  await step('Device: use the certificate at a provider', (t) => beLetIn(w, first, t));
  const identity = await step('Device: renew with a new key (EST simplereenroll)', (t) =>
    renew(w, account, ca, enrolled.identity, t),
  );
  const renewed = { account, ca, identity };
  await step('Anyone: ask for its status (OCSP)', (t) => askForStatus(w, renewed, t));
  const since = await step('Revoke the certificate', (t) => revokeCertificate(w, renewed, t));
  await step('Anyone: find it in the CRL', async (t) => {
    await findInCrl(w, renewed, since, t);
    await keepOthersGood(w, first, t);
  });
  await step('Read the audit trail', (t) => readAudit(w, account, key.key, t));
  await step('Auditor: prove that nobody has edited the trail', (t) => proveAudit(w, t));
}
