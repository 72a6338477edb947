import { generateKeyPair, X509Certificate, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { toPem, type CsrTemplate } from '#pki';
import { basic, certificateOf, csrOf, registerRelease, type DeviceKey } from '../harness/device.js';
import type { DnsServer } from '../harness/dns-server.js';
import type { Reply } from '../harness/http.js';
import type { Laboratory } from './enrolled.js';
import { succeed } from './program.js';
import { eventually } from './server.js';

export const HOME = 'home.example';

/** Every shipped profile of end entities that is asked for over EST, with names it takes. */
export const NAMES = {
  device: () => [],
  'device-short-lived': () => [],
  ra: () => [],
  'sip-domain': (host) => [`sip:${HOME}`, `dns:${host}`],
  'sip-user': () => [`sip:alice@${HOME}`],
  'im-user': () => [`mailto:alice@${HOME}`, `im:alice@${HOME}`, `xmpp:alice@${HOME}`],
  'tls-server': (host) => [`dns:${host}`, 'ip:127.0.0.1'],
  'ike-peer': (host) => [`dns:${host}`],
} satisfies Record<string, (host: string) => string[]>;
export type ProfileName = keyof typeof NAMES;
export const PROFILES = Object.keys(NAMES) as ProfileName[];

type MakeKey = () => Promise<{ publicKey: KeyObject; privateKey: KeyObject }>;
const make = promisify(generateKeyPair);
const rsa =
  (modulusLength: number): MakeKey =>
  () =>
    make('rsa', { modulusLength });
const ec =
  (namedCurve: string): MakeKey =>
  () =>
    make('ec', { namedCurve });
const KEYS: Readonly<Record<string, MakeKey>> = {
  'rsa-2048': rsa(2048),
  'rsa-3072': rsa(3072),
  'rsa-4096': rsa(4096),
  'ec-p256': ec('P-256'),
  'ec-p384': ec('P-384'),
  'ec-p521': ec('P-521'),
  ed25519: () => make('ed25519'),
};

/** The key types of the profiles that OpenSSL here knows. Says which it does not. */
export async function keyTypesOfOpenssl(): Promise<Readonly<Record<string, MakeKey>>> {
  if (/ML-DSA/i.test(await succeed('openssl', ['list', '-public-key-algorithms']))) {
    return { ...KEYS, 'ml-dsa-65': () => make('ml-dsa-65') };
  }
  const version = (await succeed('openssl', ['version'])).trim();
  process.stderr.write(
    `left out, ML-DSA with nginx, curl and openssl: ${version} has none, 3.5 is the first with it\n`,
  );
  return KEYS;
}

/** A certificate and its key as files. */
export interface Holder {
  profile: ProfileName;
  keyType: string;
  /** The host name where the profile takes one. */
  host: string;
  /** Lower-case hex. */
  serial: string;
  keyFile: string;
  certificateFile: string;
  /** Certificate, then the issuing CA. */
  chainFile: string;
}

/** One holder for each profile and key type. A key is made once for each type: what differs is the certificate. */
export async function enrollEveryProfile(laboratory: Laboratory, dns: DnsServer): Promise<Holder[]> {
  const keys = Object.entries(await keyTypesOfOpenssl()).map(async ([keyType, pair]) => {
    const { publicKey, privateKey } = await pair();
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    const key = { privateKey, spki: publicKey.export({ type: 'spki', format: 'der' }), pem };
    return { keyType, key, keyFile: await laboratory.write(`${keyType}.key`, pem) };
  });
  const { appId } = await registerRelease(laboratory.instance);
  await holdHome(laboratory, dns);
  const issuing = await succeed('openssl', ['x509', '-in', laboratory.issuing]);
  const holders: Holder[] = [];
  for (const { keyType, key, keyFile } of await Promise.all(keys)) {
    const made = PROFILES.map(async (profile): Promise<Holder> => {
      const host = `${keyType}.${profile}.${HOME}`;
      const certificate = await enroll(laboratory, { appId, profile, names: NAMES[profile](host) }, key);
      const pem = toPem('CERTIFICATE', certificate);
      return {
        ...{ profile, keyType, host, keyFile },
        serial: new X509Certificate(certificate).serialNumber.toLowerCase(),
        certificateFile: await laboratory.write(`${profile}-${keyType}.pem`, pem),
        chainFile: await laboratory.write(`${profile}-${keyType}-chain.pem`, `${pem.trimEnd()}\n${issuing}`),
      };
    });
    holders.push(...(await Promise.all(made)));
  }
  return holders;
}

async function expectStatus(status: number, reply: Promise<Reply>): Promise<Reply> {
  const answer = await reply;
  if (answer.status !== status) throw new Error(`expected ${status}, got ${answer.status} ${answer.text}`);
  return answer;
}

/** The domain and its user, as their holder comes by them. */
async function holdHome({ instance }: Laboratory, dns: DnsServer): Promise<void> {
  const claimed = await expectStatus(201, instance.api('POST', '/v1/domains', { name: HOME }));
  const domain = claimed.json<{ id: string; challenge: { name: string; value: string } }>();
  dns.records.set(domain.challenge.name, [domain.challenge.value]);
  await expectStatus(200, instance.api('POST', `/v1/domains/${domain.id}/verify`, {}));
  await expectStatus(201, instance.api('POST', '/v1/users', { address: `alice@${HOME}` }));
}

/** Register, ask, and approve where the profile wants that. */
async function enroll(
  { instance }: Laboratory,
  registration: { appId: string; profile: ProfileName; names: string[] },
  key: DeviceKey,
): Promise<Buffer> {
  const created = await expectStatus(201, instance.api('POST', '/v1/devices', registration));
  const device = created.json<{
    id: string;
    instanceId: string;
    enrollment: { username: string; secret: string };
  }>();
  const { username, secret } = device.enrollment;
  // The names are the registry's: the request has a key and nothing else.
  const wishes = { subject: [], san: undefined } as unknown as Partial<CsrTemplate>;
  const body = csrOf(device, key, wishes).toString('base64');
  const headers = { authorization: basic(username, secret), 'content-type': 'application/pkcs10' };
  const ask = () =>
    instance.est(`/.well-known/est/${registration.profile}/simpleenroll`, { method: 'POST', headers, body });
  const answer = await ask();
  if (answer.status !== 202) return certificateOf(answer);
  await decideWaiting(instance, device.id, 'approve');
  return certificateOf(await ask());
}

/** As the one operator of an instance that has TOUCHMARK_SINGLE_OPERATOR, as soon as the enrollment waits. */
export async function decideWaiting(
  instance: Laboratory['instance'],
  deviceId: string,
  decision: 'approve' | 'reject',
): Promise<void> {
  const path = '/v1/approvals?operation=enrollment&state=proposed&limit=200';
  const waiting = await eventually(
    async () => {
      const { items } = (await expectStatus(200, instance.api('GET', path))).json<{
        items: { id: string; subject: string; digest: string }[];
      }>();
      return items.find(({ subject }) => subject === `device:${deviceId}`);
    },
    { within: 10_000, what: `an enrollment of ${deviceId} waits` },
  );
  const body = decision === 'approve' ? { digest: waiting.digest } : { reason: 'not ours' };
  await expectStatus(200, instance.api('POST', `/v1/approvals/${waiting.id}/${decision}`, body));
}
