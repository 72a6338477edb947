import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { der, encodeAttribute, encodeCsr, encodeExtension, OID, readPublicKey, toPem } from '#pki';
import {
  basic,
  certificateOf,
  csrOf,
  newKey,
  registerRelease,
  registerTestDevice,
  simpleEnroll,
  simpleReenroll,
  type Registered,
} from '../harness/device.js';
import type { Reply } from '../harness/http.js';
import { startTestInstance, type TestInstance } from '../harness/instance.js';
import { selfSigned } from './self-signed.js';

interface Item {
  id: string;
  serial: string;
  outcome: string;
  subject: string;
}
const items = (reply: Reply): Item[] => reply.json<{ items: Item[] }>().items;

async function newestRefusal(instance: TestInstance): Promise<Item | undefined> {
  return items(await instance.api('GET', '/v1/audit/events?action=certificate.requested&outcome=refused&limit=1'))[0];
}

async function certificatesOf(instance: TestInstance, device: { id: string }): Promise<Item[]> {
  return items(await instance.api('GET', `/v1/certificates?deviceId=${device.id}`));
}

/** The named answer, as one line of text; an audit entry of the try; not one certificate more. */
async function expectRefused(
  instance: TestInstance,
  device: { id: string },
  attempt: () => Promise<Reply>,
  status: number,
  text: RegExp,
): Promise<void> {
  const before = await newestRefusal(instance);
  const owned = (await certificatesOf(instance, device)).length;
  const reply = await attempt();
  expect({ status: reply.status, text: reply.text }).toEqual({ status, text: expect.stringMatching(text) });
  expect(reply.headers['content-type']).toMatch(/^text\/plain/);
  expect(reply.text).toMatch(/^[^\n]+\n$/);
  const after = await newestRefusal(instance);
  expect(after?.id).toBeDefined();
  expect(after?.id).not.toBe(before?.id);
  expect(await certificatesOf(instance, device)).toHaveLength(owned);
}

describe('bad input at EST', () => {
  let instance: TestInstance;
  let device: Registered;
  let releaseOf: { appId: string; releaseId: string };

  beforeAll(async () => {
    instance = await startTestInstance();
    releaseOf = await registerRelease(instance);
    device = await registerTestDevice(instance, releaseOf);
  });
  afterAll(() => instance.stop());

  const send = (body: Buffer | string, headers: Record<string, string> = {}): Promise<Reply> =>
    instance.est('/.well-known/est/simpleenroll', {
      method: 'POST',
      headers: {
        authorization: basic(device.username, device.secret),
        'content-type': 'application/pkcs10',
        ...headers,
      },
      body,
    });
  const good = (): Buffer => csrOf(device, newKey());
  const signedBy = (privateKey: KeyObject, publicKey: KeyObject): string =>
    encodeCsr(
      {
        subject: [[{ type: OID.commonName, value: device.id }]],
        publicKey: readPublicKey(publicKey.export({ type: 'spki', format: 'der' })),
      },
      privateKey,
    ).toString('base64');

  function wrongSignature(): string {
    const csr = good();
    csr[csr.length - 1] = (csr.at(-1) ?? 0) ^ 1;
    return csr.toString('base64');
  }
  function rsa1024(): string {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });
    return signedBy(privateKey, publicKey);
  }
  /** A sound request whose curve's OID is exchanged for secp256k1's; the length stays. */
  function otherCurve(): string {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'secp256k1' });
    const spki = publicKey.export({ type: 'spki', format: 'der' });
    const readable = { ...readPublicKey(newKey().spki), spki };
    return encodeCsr(
      { subject: [[{ type: OID.commonName, value: device.id }]], publicKey: readable },
      privateKey,
    ).toString('base64');
  }
  const withExtension = (oid: string, value: Buffer): string =>
    csrOf(device, newKey(), { extensions: [{ oid, critical: true, value }] }).toString('base64');
  const wishing = (wishes: Parameters<typeof csrOf>[2]): string => csrOf(device, newKey(), wishes).toString('base64');
  const withPurpose = (oid: string): string => withExtension(OID.extKeyUsage, der.sequence(der.oid(oid)));
  function withEncoded(...attributes: Buffer[]): string {
    const key = newKey();
    const subject = [[{ type: OID.commonName, value: device.id }]];
    return encodeCsr({ subject, publicKey: readPublicKey(key.spki), attributes }, key.privateKey).toString('base64');
  }
  const noCa = encodeExtension({ oid: OID.basicConstraints, critical: true, value: der.sequence() });
  /** One list of both extensions; two lists where one of them is missing. */
  const requested = (first: Buffer, second: Buffer | undefined): string => {
    const lists = second === undefined ? [der.sequence(first), der.sequence(first)] : [der.sequence(first, second)];
    return withEncoded(der.sequence(der.oid(OID.extensionRequest), der.setOf(...lists)));
  };
  const withAttribute = (type: string, ...values: Buffer[]): string =>
    csrOf(device, newKey(), { attributes: [der.sequence(der.oid(type), der.setOf(...values))] }).toString('base64');
  const deep = (levels: number): Buffer => {
    let nested = der.null();
    for (let level = 0; level < levels; level++) nested = der.sequence(nested);
    return nested;
  };
  function emptySan(): string {
    const key = newKey();
    const subject = [[{ type: OID.commonName, value: device.id }]];
    const extensions = [{ oid: OID.subjectAltName, critical: false, value: der.sequence() }];
    return encodeCsr({ subject, publicKey: readPublicKey(key.spki), extensions }, key.privateKey).toString('base64');
  }

  const cases: [string, () => Promise<Reply>, number, RegExp][] = [
    ['not base64 (EX01)', () => send('!!'), 400, /base64/],
    ['broken DER (EX02)', () => send(good().subarray(0, -7).toString('base64')), 400, /CSR/],
    ['trailing octets (EX03)', () => send(Buffer.concat([good(), Buffer.of(0)]).toString('base64')), 400, /CSR/],
    [
      'wrong Content-Type (EX04)',
      () => send(good().toString('base64'), { 'content-type': 'text/plain' }),
      415,
      /application\/pkcs10/,
    ],
    ['nested too deeply (EX07)', () => send(deep(200).toString('base64')), 400, /CSR/],
    [
      'a length that is not there (EX07)',
      () => send(Buffer.from('3084ffffffff', 'hex').toString('base64')),
      400,
      /CSR/,
    ],
    ['PEM (E24)', () => send(toPem('CERTIFICATE REQUEST', good())), 400, /PEM/],
    [
      'a compressed body (EX28)',
      () => send(good().toString('base64'), { 'content-encoding': 'gzip' }),
      415,
      /Content-Encoding/,
    ],
    ['empty (EX05)', () => send(''), 400, /empty/],
    ['over 64 KiB (EX06)', () => send('A'.repeat(65_540)), 413, /65536/],
    ['signature wrong (EX08)', () => send(wrongSignature()), 400, /signature/],
    ['RSA 1024 (EX10)', () => send(rsa1024()), 400, /RSA|2048/],
    ['unsupported curve (EX09)', () => send(otherCurve()), 400, /curve|key/i],
    ['empty SAN (E81)', () => send(emptySan()), 400, /subjectAltName|CSR/],
    ['CA:TRUE (EX19)', () => send(withExtension(OID.basicConstraints, der.sequence(der.boolean(true)))), 403, /./],
    ['keyCertSign (E71)', () => send(withExtension(OID.keyUsage, Buffer.from('03020284', 'hex'))), 403, /keyUsage/],
    ['OCSPSigning (E71)', () => send(withPurpose(OID.ocspSigning)), 403, /extendedKeyUsage/],
    ['id-kp-cmcRA (E71)', () => send(withPurpose(OID.cmcRa)), 403, /extendedKeyUsage/],
    ['sipDomain for a device (SX12)', () => send(withPurpose(OID.sipDomain)), 403, /extendedKeyUsage/],
    ['an extension twice (E72)', () => send(requested(noCa, noCa)), 400, /repeat/],
    ['two lists of extensions (E72)', () => send(requested(noCa, undefined)), 400, /CSR/],
    [
      'ChangeSubjectName that changes nothing (EX21, E83)',
      () => send(withEncoded(encodeAttribute(OID.changeSubjectName, der.sequence()))),
      400,
      /ChangeSubjectName/,
    ],
    [
      'ChangeSubjectName without a certificate to change (E82)',
      () => send(wishing({ changeSubjectName: { san: [{ type: 'dns', value: 'a.example' }] } })),
      403,
      /ChangeSubjectName/,
    ],
    ['a wildcard (EX18)', () => send(wishing({ san: [{ type: 'dns', value: '*.a.example' }] })), 400, /wildcard/],
    ['an address (EX18)', () => send(wishing({ san: [{ type: 'ip', value: '192.0.2.1' }] })), 403, /not of this/],
    [
      'a control character in the subject (EX30)',
      () => send(wishing({ subject: [[{ type: OID.commonName, value: `${device.id}\u0007` }]] })),
      400,
      /control/,
    ],
    ['NUL in a name (EX30)', () => send(wishing({ san: [{ type: 'dns', value: 'a\0.example' }] })), 400, /control/],
    [
      'another UUID (EX18)',
      () => send(csrOf({ ...device, instanceId: '11111111-2222-4333-8444-555555555555' }, newKey()).toString('base64')),
      403,
      /./,
    ],
    ['no credentials (EX11)', () => send(good().toString('base64'), { authorization: 'Bearer x' }), 401, /secret/],
    [
      'an empty Authorization (EX13)',
      () => send(good().toString('base64'), { authorization: '' }),
      400,
      /Authorization/,
    ],
    [
      'unknown user (EX12)',
      () =>
        send(good().toString('base64'), {
          authorization: basic('01900000-0000-7000-8000-00000000ffff', device.secret),
        }),
      401,
      /./,
    ],
    [
      'wrong secret (EX12)',
      () => send(good().toString('base64'), { authorization: basic(device.username, `${device.secret}x`) }),
      401,
      /./,
    ],
    [
      'a label of another profile (EX16)',
      () =>
        instance.est('/.well-known/est/tls-server/simpleenroll', {
          method: 'POST',
          headers: { authorization: basic(device.username, device.secret), 'content-type': 'application/pkcs10' },
          body: good().toString('base64'),
        }),
      403,
      /another profile/,
    ],
    [
      'an empty ChangeSubjectName (E83, EX21)',
      () => send(withAttribute(OID.changeSubjectName, der.sequence())),
      400,
      /ChangeSubjectName/,
    ],
    [
      'a control character in a name (EX30)',
      () =>
        send(csrOf(device, newKey(), { subject: [[{ type: OID.commonName, value: 'a\u0000b' }]] }).toString('base64')),
      400,
      /control character/,
    ],
    [
      'two values of challengePassword (EX22)',
      () => send(withAttribute(OID.challengePassword, der.utf8String('a'), der.utf8String('b'))),
      400,
      /CSR/,
    ],
    [
      'a challengePassword of 256 octets (E68)',
      () => send(withAttribute(OID.challengePassword, der.utf8String('a'.repeat(256)))),
      400,
      /255/,
    ],
    [
      'unknown label (EX17)',
      () =>
        instance.est('/.well-known/est/other/simpleenroll', {
          method: 'POST',
          headers: { 'content-type': 'application/pkcs10' },
          body: good().toString('base64'),
        }),
      404,
      /label/,
    ],
    [
      'no link to the connection (EX22)',
      () => send(csrOf(device, newKey(), { challengePassword: 'AAAA' }).toString('base64')),
      400,
      /[Ll]inking/,
    ],
  ];

  it.each(cases)('%s', async (_, attempt, status, text) => {
    await expectRefused(instance, device, attempt, status, text);
  });

  it('tells a wrong secret and an unknown user by the same words (EX12)', async () => {
    const unknown = await send(good().toString('base64'), { authorization: basic('nobody', device.secret) });
    const wrong = await send(good().toString('base64'), { authorization: basic(device.username, 'x') });
    expect(unknown.text).toBe(wrong.text);
    expect(unknown.headers['www-authenticate']).toMatch(/^Basic/);
  });

  it('gives two parallel enrollments with one secret and two keys exactly one certificate (E47)', async () => {
    const fresh = await registerTestDevice(instance, releaseOf);
    const replies = await Promise.all(
      [newKey(), newKey()].map((key) => simpleEnroll(instance, fresh, csrOf(fresh, key))),
    );
    expect(replies.map(({ status }) => status).sort()).toEqual([200, 401]);
    expect(await certificatesOf(instance, fresh)).toHaveLength(1);
  });

  it('gives a used secret with another key nothing, with the same key the same certificate (E91, EX26)', async () => {
    const fresh = await registerTestDevice(instance, releaseOf);
    const key = newKey();
    const first = certificateOf(await simpleEnroll(instance, fresh, csrOf(fresh, key)));
    expect(certificateOf(await simpleEnroll(instance, fresh, csrOf(fresh, key)))).toEqual(first);
    await expectRefused(instance, fresh, () => simpleEnroll(instance, fresh, csrOf(fresh, newKey())), 401, /./);
  });

  it('re-enrolls nobody without a certificate, with a foreign one, or with a revoked one (E85, EX15)', async () => {
    const fresh = await registerTestDevice(instance, releaseOf);
    const key = newKey();
    const certificate = certificateOf(await simpleEnroll(instance, fresh, csrOf(fresh, key)));
    const csr = csrOf(fresh, newKey());
    const attempt = (tls: { cert: string; key: string } | undefined): Promise<Reply> =>
      instance.est('/.well-known/est/simplereenroll', {
        method: 'POST',
        headers: { 'content-type': 'application/pkcs10' },
        body: csr.toString('base64'),
        ...(tls && { tls }),
      });
    await expectRefused(instance, fresh, () => attempt(undefined), 401, /certificate/);
    const foreign = await selfSigned(fresh.id);
    await expectRefused(instance, fresh, () => attempt(foreign), 403, /./);
    const [row] = await certificatesOf(instance, fresh);
    const revoked = await instance.api('POST', `/v1/certificates/${row?.serial}/revoke`, { reason: 'superseded' });
    expect(revoked.status).toBe(200);
    await expectRefused(
      instance,
      fresh,
      () => attempt({ cert: toPem('CERTIFICATE', certificate), key: key.pem }),
      403,
      /revoked/,
    );
  });

  it('renews with other names for nobody, asked for by ChangeSubjectName or not (E81, E82, EX20)', async () => {
    const fresh = await registerTestDevice(instance, releaseOf);
    const key = newKey();
    const certificate = certificateOf(await simpleEnroll(instance, fresh, csrOf(fresh, key)));
    const other = csrOf({ ...fresh, id: 'somebody-else' }, newKey());
    await expectRefused(instance, fresh, () => simpleReenroll(instance, { certificate, key }, other), 400, /./);
    const changeSubjectName = { subject: [], san: [{ type: 'dns' as const, value: 'a.example' }] };
    const change = csrOf(fresh, newKey(), { changeSubjectName });
    const renew = () => simpleReenroll(instance, { certificate, key }, change);
    await expectRefused(instance, fresh, renew, 403, /ChangeSubjectName/);
  });

  it('is up after all that', async () => {
    expect((await instance.est('/readyz')).status).toBe(200);
    const reply = await simpleEnroll(instance, device, csrOf(device, newKey()));
    expect(reply.status).toBe(200);
  });
});

describe('what has ended', () => {
  let instance: TestInstance;

  beforeAll(async () => {
    instance = await startTestInstance({
      TOUCHMARK_ENROLLMENT_SECRET_SECONDS: '2',
      TOUCHMARK_DEVICE_CERTIFICATE_SECONDS: '3',
    });
  });
  afterAll(() => instance.stop());

  const until = async (done: () => Promise<boolean>): Promise<void> => {
    while (!(await done())) await new Promise((resolve) => setTimeout(resolve, 100));
  };

  it('an expired secret enrolls nobody', async () => {
    const device = await registerTestDevice(instance);
    const registered = Date.now();
    await until(() => Promise.resolve(Date.now() > registered + 2100));
    await expectRefused(instance, device, () => simpleEnroll(instance, device, csrOf(device, newKey())), 401, /./);
  });

  it('an expired certificate renews nothing (E85, EX15)', async () => {
    const device = await registerTestDevice(instance);
    const key = newKey();
    const certificate = certificateOf(await simpleEnroll(instance, device, csrOf(device, key)));
    await until(
      async () =>
        items(await instance.api('GET', `/v1/certificates?deviceId=${device.id}&status=expired`)).length === 1,
    );
    await expectRefused(
      instance,
      device,
      () => simpleReenroll(instance, { certificate, key }, csrOf(device, newKey())),
      403,
      /expired|validity|ended/i,
    );
  });
});
