import type { CaCertificates, Identity } from '../examiner.js';
import { expectThat, type Telling } from '../narrator.js';
import { send } from '../send.js';
import {
  certificateIn,
  est,
  member,
  NODE_HTTP,
  type DeviceAccount,
  type Release,
  type Workbench,
} from '../workbench.js';

export async function registerDevice(
  { api }: Workbench,
  release: Release,
  { fact, verified }: Telling,
): Promise<DeviceAccount> {
  const device = await api.post('/v1/devices', { appId: release.appId, releaseId: release.releaseId });
  const account = {
    id: member(device, 'id'),
    instanceId: member(device, 'instanceId'),
    username: member(device, 'enrollment.username'),
    secret: member(device, 'enrollment.secret'),
  };
  fact(`device ${account.id}, instance urn:uuid:${account.instanceId}`);
  fact(`its one-time secret ends ${member(device, 'enrollment.expiresAt')}`);
  const found = await api.get(`/v1/devices/${account.id}`);
  expectThat(member(found, 'status') === 'registered', `the device is ${member(found, 'status')}`);
  expectThat(!JSON.stringify(found).includes(account.secret), 'the secret is shown a second time');
  verified('it reads back as registered, and the secret is not shown again', NODE_HTTP);
  return account;
}

export async function fetchCaCertificates(
  { urls, root, examiner }: Workbench,
  { fact, verified }: Telling,
): Promise<CaCertificates> {
  const { status, body } = await send(`${urls.est}/.well-known/est/cacerts`, { tls: { ca: root } });
  expectThat(status === 200, `cacerts answers ${status}`);
  const certificates = await examiner.certificates(Buffer.from(body.toString(), 'base64'));
  fact(`${certificates.length} certificates`);
  const plain = (pem: string) => pem.replace(/\s/g, '');
  const issuing = certificates.filter((pem) => plain(pem) !== plain(root));
  expectThat(
    certificates.length === 2 && issuing.length === 1 && issuing[0] !== undefined,
    'cacerts is not root and issuing CA',
  );
  verified('one is the root known from the file, the other the issuing CA', examiner.name);
  return { root, issuing: issuing[0] };
}

export async function enroll(
  workbench: Workbench,
  account: DeviceAccount,
  ca: CaCertificates,
  { fact, verified }: Telling,
): Promise<{ identity: Identity; csr: Buffer }> {
  const { examiner, urls } = workbench;
  const key = await examiner.newKey('device');
  const csr = await examiner.request(key, account);
  fact(`P-256 key and PKCS #10 request (${csr.length} bytes) made by ${examiner.name}`);
  const certificate = await certificateIn(workbench, await est(workbench, 'simpleenroll', csr, account));
  await examiner.verifyPath(certificate, ca);
  verified('the path of the certificate leads to the root', examiner.name);
  const facts = await examiner.describe(certificate);
  fact(`serial ${facts.serial}, ${facts.subject}`);
  fact(`names ${facts.names}; use ${facts.usage}`);
  fact(`OCSP ${facts.ocsp}; CRL ${facts.crl}; issuer ${facts.caIssuers}`);
  expectThat(facts.subject.includes(`CN=${account.id}`), `the subject is ${facts.subject}`);
  expectThat(facts.names.includes(`URI:urn:uuid:${account.instanceId}`), `the names are ${facts.names}`);
  expectThat(
    /^(TLS Web Client Authentication|1\.3\.6\.1\.5\.5\.7\.3\.2)$/.test(facts.usage),
    `the use is ${facts.usage}`,
  );
  expectThat(
    [facts.ocsp, facts.crl, facts.caIssuers].every((url) => url.startsWith(`${urls.status}/`)),
    'a URL leads elsewhere',
  );
  verified('it names this device and no other, for TLS clients, and says where its status is', examiner.name);
  return { identity: { name: 'device', key, certificate }, csr };
}

export async function tryAgain(
  workbench: Workbench,
  account: DeviceAccount,
  enrolled: { identity: Identity; csr: Buffer },
  { fact, verified }: Telling,
): Promise<void> {
  const other = await workbench.examiner.request(await workbench.examiner.newKey('other'), account);
  const refused = await est(workbench, 'simpleenroll', other, account);
  fact(`another key with the same secret: ${refused.status} ${refused.body.toString().trim()}`);
  expectThat(refused.status === 401, `it answers ${refused.status} instead of 401`);
  verified('the secret is bound to the first key', NODE_HTTP);
  const again = await certificateIn(workbench, await est(workbench, 'simpleenroll', enrolled.csr, account));
  expectThat(again === enrolled.identity.certificate, 'the repetition gets another certificate');
  verified('the same request again, as after a lost answer, gets the same certificate', workbench.examiner.name);
}

export async function renew(
  workbench: Workbench,
  account: DeviceAccount,
  ca: CaCertificates,
  old: Identity,
  { fact, verified }: Telling,
): Promise<Identity> {
  const { examiner } = workbench;
  const key = await examiner.newKey('renewed');
  const reply = await est(workbench, 'simplereenroll', await examiner.request(key, account), old);
  const certificate = await certificateIn(workbench, reply);
  await examiner.verifyPath(certificate, ca);
  const [before, after] = [await examiner.describe(old.certificate), await examiner.describe(certificate)];
  fact(`serial ${after.serial} follows ${before.serial}; no secret and no human took part`);
  expectThat(
    after.serial !== before.serial && after.names === before.names,
    'it is the same certificate, or has other names',
  );
  verified('a new certificate for a new key, with the same names; its path leads to the root', examiner.name);
  const shown = await workbench.api.get(`/v1/certificates/${before.serial}`);
  expectThat(member(shown, 'supersededBy') === after.serial, 'the old certificate does not name the new one');
  verified('the registry says which certificate supersedes which', NODE_HTTP);
  return { name: 'renewed', key, certificate };
}
