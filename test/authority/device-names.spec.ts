import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  approve,
  certificateStatus,
  changeDevice,
  createUser,
  disableDomain,
  disableUser,
  domainStatus,
  enableDomain,
  enableUser,
  propose,
  registerDevice,
  resetDevice,
  revokeDevice,
  suspendDevice,
  type AuthorityContext,
  type GivenName,
} from '#authority';
import { addSeconds } from '#kernel';
import { encodeGeneralNames, der, OID, readCertificate, type CsrTemplate } from '#pki';
import { deviceRowMac } from '#status';
import { findCertificate, findDevice, statusHistory } from '#store';
import { newKey } from '../harness/device.js';
import { enroll, renewRequest, type TestDevice } from '../harness/fixtures.js';
import {
  addUser,
  enrolled,
  firstRequest,
  follow,
  holdDomain,
  inStep,
  refusals,
  register,
  startNameBench,
  type NameBench,
} from './name-bench.js';

const HOME = 'home.example';
let bench: NameBench;
let n = 0;
const freshUser = async () => {
  const address = `user${++n}@${HOME}`;
  return { address, id: (await addUser(bench, address)).id };
};

beforeAll(async () => {
  bench = await startNameBench();
  await holdDomain(bench, HOME);
  await addUser(bench, `Alice@${HOME}`);
  await addUser(bench, `bob@${HOME}`);
  await holdDomain(bench, 'theirs.example', bench.other);
  await addUser(bench, 'carol@theirs.example', bench.other);
});
afterAll(() => bench.stop());

const everything = { scope: { organizationId: '00000000-0000-0000-0000-000000000000', authority: true } };
const deviceRow = async ({ device }: TestDevice) =>
  (await bench.api.database.transaction((tx) => findDevice(tx, device.id), everything))!;
const statusOf = async (certificate: Buffer) => {
  const serial = Buffer.from(readCertificate(certificate).serial, 'hex');
  const row = await bench.api.database.transaction((tx) => findCertificate(tx, serial), everything);
  return certificateStatus(bench.api, row!).status;
};
const reasonOf = async (certificate: Buffer) => {
  const { serial } = readCertificate(certificate);
  const log = await bench.api.database.transaction((tx) => statusHistory(tx, 'certificate', serial), everything);
  return log.at(-1)?.reason;
};
const uris = (certificate: Buffer) =>
  readCertificate(certificate).san.map((name) => ('value' in name ? name.value : name));

describe('a certificate names, of what the profile has', () => {
  test('the domains of a SIP server, each as URI, the first as common name (S01, S02, S04, S05, S06, S07)', async () => {
    const { certificate } = await enrolled(bench, 'sip-domain', [
      `dns:gate.${HOME}`,
      `SIP:${HOME}`,
      `sip:voice.${HOME}`,
    ]);
    const read = readCertificate(certificate);
    expect(read.san).toEqual([
      { type: 'uri', value: `sip:${HOME}` },
      { type: 'uri', value: `sip:voice.${HOME}` },
      { type: 'dns', value: `gate.${HOME}` },
    ]);
    expect(read.subject).toEqual([[{ type: OID.commonName, value: HOME }]]);
    const eku = [...read.extensions.values()].find(({ oid }) => oid === OID.extKeyUsage);
    for (const oid of [OID.sipDomain, OID.serverAuth, OID.clientAuth]) {
      expect(eku?.value.includes(der.oid(oid))).toBe(true);
    }
  });

  test('the address of a SIP user, and no domain with it (S08)', async () => {
    const { certificate } = await enrolled(bench, 'sip-user', [{ type: 'sip-user', value: `Alice@${HOME}` }]);
    const read = readCertificate(certificate);
    expect(read.san).toEqual([{ type: 'uri', value: `sip:Alice@${HOME}` }]);
    expect(read.subject).toEqual([]);
    // X11: with an empty subject the names are critical.
    expect(read.extensions.get(OID.subjectAltName)?.critical).toBe(true);
  });

  test('user and device together only where the device was given both (S10, S23)', async () => {
    const instanceId = randomUUID();
    const { tenant, api, officer } = bench;
    const names = [`sip:Alice@${HOME}`, `urn:uuid:${instanceId.toUpperCase()}`];
    const { device, enrollment } = await registerDevice(api, officer, {
      appId: tenant.appId,
      profile: 'sip-user',
      instanceId,
      names,
    });
    const certificate = await enroll(bench.est, firstRequest(bench, { device, secret: enrollment.secret }));
    expect(uris(certificate)).toEqual([`urn:uuid:${instanceId}`, `sip:Alice@${HOME}`]);
    const alone = await enrolled(bench, 'sip-user', [`sip:Alice@${HOME}`]);
    const wish = firstRequest(bench, await register(bench, 'sip-user', [`sip:Alice@${HOME}`]), {
      san: [...alone.san, { type: 'uri', value: `urn:uuid:${alone.device.instanceId}` }],
    });
    await expect(enroll(bench.est, wish)).rejects.toMatchObject({ kind: 'forbidden' });
  });

  test('the mailbox and the inboxes of a user (S09, S11)', async () => {
    await createUser(bench.api, bench.tenant.developer, { address: `\u00fc@${HOME}` });
    await inStep(bench);
    const names = [
      `mailto:bob@${HOME}`,
      `mailto:\u00fc@${HOME}`,
      `im:bob@${HOME}`,
      `pres:bob@${HOME}`,
      `xmpp:bob@${HOME}`,
    ];
    const { san, certificate } = await enrolled(bench, 'im-user', names);
    expect(san).toEqual([
      { type: 'uri', value: `im:bob@${HOME}` },
      { type: 'uri', value: `pres:bob@${HOME}` },
      { type: 'other', oid: OID.xmppAddr, value: der.utf8String(`bob@${HOME}`) },
      { type: 'email', value: `bob@${HOME}` },
      { type: 'other', oid: OID.smtpUtf8Mailbox, value: der.utf8String(`\u00fc@${HOME}`) },
    ]);
    expect(readCertificate(certificate).extensions.get(OID.keyUsage)?.critical).toBe(true);
  });

  test('the host and the address of an IKE peer; an address by the word of who vouches for it', async () => {
    const { san } = await enrolled(bench, 'ike-peer', ['ip:2001:DB8::0001', `dns:gw.${HOME}`]);
    expect(san).toEqual([
      { type: 'dns', value: `gw.${HOME}` },
      { type: 'ip', value: '2001:db8::1' },
    ]);
    const { api, tenant } = bench;
    const byVendor = registerDevice(api, tenant.developer, {
      appId: tenant.appId,
      profile: 'ike-peer',
      names: ['ip:192.0.2.1'],
    });
    await expect(byVendor).rejects.toMatchObject({ kind: 'forbidden', code: 'nameNotEntitled' });
  });

  test('the same names in the same order for the same device, asked twice', async () => {
    const names = [`sip:b.${HOME}`, `sip:a.${HOME}`];
    const [one, two] = [await enrolled(bench, 'sip-domain', names), await enrolled(bench, 'sip-domain', names)];
    expect(encodeGeneralNames(one.san)).toEqual(encodeGeneralNames(two.san));
  });

  test('and is renewed with them', async () => {
    const { device, certificate, san } = await enrolled(bench, 'sip-user', [`sip:Alice@${HOME}`]);
    const request = renewRequest(device, certificate, newKey());
    const again = firstRequest(bench, { device, secret: '' }, { san });
    const renewed = await enroll(bench.est, { ...request, label: again.label, csr: again.csr });
    expect(readCertificate(renewed).san).toEqual(san);
  });
});

describe('names are refused where a device is registered, with an entry, and nothing is registered', () => {
  const cases: [string, string, GivenName[], string, string][] = [
    ['sips as domain (SX01)', 'sip-domain', [`sips:${HOME}`], 'invalid', 'nameForm'],
    ['a wildcard (SX02)', 'sip-domain', [`sip:*.${HOME}`], 'invalid', 'nameForm'],
    ['a user without domain (SX03)', 'sip-user', ['sip:alice@'], 'invalid', 'nameForm'],
    ['an empty URI (SX03)', 'sip-user', ['sip:'], 'invalid', 'nameForm'],
    ['a port (SX04)', 'sip-domain', [`sip:${HOME}:5061`], 'invalid', 'nameForm'],
    ['a parameter (SX04)', 'sip-domain', [`sip:${HOME};transport=tls`], 'invalid', 'nameForm'],
    ['a header (SX04)', 'sip-user', [`sip:Alice@${HOME}?h=1`], 'invalid', 'nameForm'],
    ['a user of another tenant (SX05)', 'sip-user', ['sip:carol@theirs.example'], 'forbidden', 'nameNotEntitled'],
    ['a domain of another tenant (SX05)', 'sip-domain', ['sip:theirs.example'], 'forbidden', 'nameNotEntitled'],
    ['a user that there is not (S22)', 'sip-user', [`sip:nobody@${HOME}`], 'forbidden', 'nameNotEntitled'],
    ['a user of another case (S22)', 'sip-user', [`sip:alice@${HOME}`], 'forbidden', 'nameNotEntitled'],
    ['a host of nobody (X18)', 'tls-server', ['dns:nobody.example'], 'forbidden', 'nameNotEntitled'],
    ['a malformed UUID (SX06)', 'sip-user', [`sip:Alice@${HOME}`, 'urn:uuid:1234'], 'invalid', 'nameForm'],
    [
      'the nil UUID (SX06)',
      'sip-user',
      [`sip:Alice@${HOME}`, 'urn:uuid:00000000-0000-0000-0000-000000000000'],
      'invalid',
      'nameForm',
    ],
    [
      'the UUID of nobody (S23)',
      'sip-user',
      [`sip:Alice@${HOME}`, `urn:uuid:${randomUUID()}`],
      'forbidden',
      'nameNotEntitled',
    ],
    ['an inbox of nobody (SX08)', 'im-user', ['IM:'], 'invalid', 'nameForm'],
    ['an escaped @ (SX09)', 'sip-user', [`sip:Alice%40${HOME}@${HOME}`], 'invalid', 'nameForm'],
    ['a U-label (SX10)', 'sip-domain', ['sip:m\u00fcnchen.example'], 'invalid', 'nameForm'],
    ['no name at all (SX11)', 'sip-domain', [], 'invalid', 'nameRules'],
    ['no name of a profile that takes some (SX11)', 'tls-server', [], 'invalid', 'nameRules'],
    ['a name that its profile has not', 'device', [`sip:${HOME}`], 'invalid', 'nameRules'],
    ['a domain for a user (S08)', 'sip-user', [`sip:${HOME}`], 'invalid', 'nameRules'],
    ['a profile that is none', 'nothing', [`sip:${HOME}`], 'invalid', 'invalid'],
    ['the profile of a CA', 'issuing-ca', [], 'invalid', 'invalid'],
  ];

  test.each(cases)('%s', async (_, profile, names, kind, code) => {
    const count = async () => (await bench.db.sql<{ n: number }>('select count(*)::int as n from devices'))[0]!.n;
    const [before, entries] = [await count(), (await refusals(bench, 'device.registered')).length];
    await expect(register(bench, profile, names)).rejects.toMatchObject({ kind, code });
    expect(await count()).toBe(before);
    expect(await refusals(bench, 'device.registered')).toHaveLength(entries + 1);
  });

  test('the UUID of another device, as its own or as a name (SX07)', async () => {
    const { api, officer, tenant } = bench;
    const { device } = await register(bench, 'device', []);
    const { instanceId } = device;
    const taken = { kind: 'conflict', code: 'instanceIdTaken' };
    await expect(registerDevice(api, officer, { appId: tenant.appId, instanceId })).rejects.toMatchObject(taken);
    const both = [`sip:Alice@${HOME}`, `urn:uuid:${instanceId}`];
    await expect(register(bench, 'sip-user', both)).rejects.toMatchObject(taken);
  });
});

describe('every name is verified where a device enrolls, or refused with an entry and nothing issued (S20)', () => {
  const uri = (value: string): Partial<CsrTemplate> => ({ san: [{ type: 'uri', value }] });
  const user = ['sip-user', [`sip:Alice@${HOME}`]] as const;
  const domain = ['sip-domain', [`sip:${HOME}`]] as const;
  const ekuOf = (...oids: string[]) => ({
    extensions: [{ oid: OID.extKeyUsage, critical: false, value: der.sequence(...oids.map((oid) => der.oid(oid))) }],
  });
  const cases: [string, readonly [string, readonly string[]], Partial<CsrTemplate>, string][] = [
    ['sips as domain (SX01)', domain, uri(`sips:${HOME}`), 'invalid'],
    ['a wildcard (SX02)', domain, uri(`sip:*.${HOME}`), 'invalid'],
    ['a user without domain (SX03)', user, uri('sip:alice@'), 'invalid'],
    ['an empty URI (SX03)', user, uri('sip:'), 'invalid'],
    ['a port (SX04)', domain, uri(`sip:${HOME}:5061`), 'invalid'],
    ['a parameter (SX04)', domain, uri(`sip:${HOME};transport=tls`), 'invalid'],
    ['a header (SX04)', user, uri(`sip:Alice@${HOME}?h=1`), 'invalid'],
    ['a user of another tenant (SX05)', user, uri('sip:carol@theirs.example'), 'forbidden'],
    ['another user of the same tenant (SX05)', user, uri(`sip:bob@${HOME}`), 'forbidden'],
    ['a malformed UUID (SX06)', user, uri('urn:uuid:1234'), 'invalid'],
    ['the nil UUID (SX06)', user, uri('urn:uuid:00000000-0000-0000-0000-000000000000'), 'invalid'],
    ['the UUID of another (SX07)', user, uri(`urn:uuid:${randomUUID()}`), 'forbidden'],
    ['an inbox of nobody (SX08)', user, uri('IM:'), 'invalid'],
    ['an escaped @ (SX09)', user, uri(`sip:Alice%40${HOME}@${HOME}`), 'invalid'],
    ['an A-label that is none (SX10)', domain, uri('sip:xn--99999.example'), 'invalid'],
    ['a name in the subject alone (SX11)', domain, { subject: [[{ type: OID.commonName, value: HOME }]] }, 'invalid'],
    ['sipDomain as purpose of a user (SX12)', user, ekuOf(OID.sipDomain), 'forbidden'],
  ];

  test.each(cases)('%s', async (_, [profile, names], wishes, kind) => {
    const made = await register(bench, profile, names);
    const entries = (await refusals(bench, 'certificate.requested')).length;
    await expect(enroll(bench.est, firstRequest(bench, made, wishes as Partial<CsrTemplate>))).rejects.toMatchObject({
      kind,
    });
    expect(await refusals(bench, 'certificate.requested')).toHaveLength(entries + 1);
    const [row] = await bench.db.sql<{ n: number }>(
      'select count(*)::int as n from certificates where device_id = $1',
      [made.device.id],
    );
    expect(row!.n).toBe(0);
    // The secret is good still: with its own names, or none, it enrolls.
    await enroll(bench.est, firstRequest(bench, made));
  });
});

describe('the end of a user (S25)', () => {
  test('ends enrollment and renewal at once and revokes every certificate with the address, and no other', async () => {
    const { api, est, tenant } = bench;
    const { address, id } = await freshUser();
    const phone = await enrolled(bench, 'sip-user', [`sip:${address}`, `sip:Alice@${HOME}`]);
    const chat = await enrolled(bench, 'im-user', [`mailto:${address}`]);
    const other = await enrolled(bench, 'sip-user', [`sip:Alice@${HOME}`]);
    const waiting = await register(bench, 'sip-user', [`sip:${address}`]);
    // What is on hold ends too.
    await suspendDevice(api, bench.officer, chat.device.id);
    await disableUser(api, tenant.developer, id, 'affiliationChanged');
    await inStep(bench);
    const ended = { kind: 'forbidden', code: 'nameNotHeld' };
    await expect(enroll(est, firstRequest(bench, waiting))).rejects.toMatchObject(ended);
    const label = firstRequest(bench, phone).label;
    const csr = firstRequest(bench, phone, { san: phone.san }).csr;
    const renewal = { ...renewRequest(phone.device, phone.certificate, newKey()), label, csr };
    await expect(enroll(est, renewal)).rejects.toMatchObject(ended);
    await expect(enableUser(api, tenant.developer, id)).rejects.toMatchObject({ code: 'stillRevoking' });
    expect(await follow(bench, id)).toEqual({ devices: 3, revoked: 2 });
    for (const { certificate } of [phone, chat]) {
      expect(await statusOf(certificate)).toBe('revoked');
      expect(await reasonOf(certificate)).toBe('affiliationChanged');
    }
    expect(await statusOf(other.certificate)).toBe('active');
    expect(await follow(bench, id)).toEqual({ devices: 3, revoked: 0 });
    const open = `select 1 from outbox where topic = 'name.wanted' and subject = $1 and done_at is null`;
    expect(await bench.db.sql(open, [id])).toEqual([]);
    // Enabled again: for what is issued from now on.
    await enableUser(api, tenant.developer, id);
    await inStep(bench);
    expect(await statusOf(phone.certificate)).toBe('revoked');
    await enroll(est, firstRequest(bench, waiting));
  });

  test('is not got around by a request that looked before: the intent itself asks the log', async () => {
    const { api, est, tenant } = bench;
    const { address, id } = await freshUser();
    const made = await register(bench, 'sip-user', [`sip:${address}`]);
    let disabled = false;
    const late: AuthorityContext = {
      ...est,
      follower: {
        ...est.follower,
        index: est.follower.index,
        assertFresh: () => undefined,
        catchUp: async () => undefined,
      },
      database: {
        transaction: (work, options) => est.database.transaction(work, options),
        single: async (work) => {
          const read = await est.database.single(work);
          if (!disabled) await disableUser(api, tenant.developer, id, 'superseded');
          disabled = true;
          return read;
        },
      },
    };
    await expect(enroll(late, firstRequest(bench, made))).rejects.toMatchObject({
      kind: expect.stringMatching(/forbidden|unavailable/),
    });
    const [row] = await bench.db.sql<{ n: number }>(
      'select count(*)::int as n from certificates where device_id = $1',
      [made.device.id],
    );
    expect(row!.n).toBe(0);
  });
});

describe('the end of a domain (S25)', () => {
  test('is also that of its proof: 30 days after the log told of one, nothing is renewed by it (S21)', async () => {
    const { est } = bench;
    const server = await enrolled(bench, 'sip-domain', [`sip:${HOME}`]);
    const { label, csr } = firstRequest(bench, server, {
      subject: [[{ type: OID.commonName, value: HOME }]],
      san: server.san,
    });
    const renewal = { ...renewRequest(server.device, server.certificate, newKey()), label, csr };
    const days = (n: number) => ({ ...est.clock, now: () => addSeconds(est.clock.now(), n * 86_400) });
    await expect(enroll({ ...est, clock: days(31) }, renewal)).rejects.toMatchObject({ code: 'nameNotHeld' });
    await enroll({ ...est, clock: days(29) }, renewal);
  });

  test('ends the names of its servers and of its users alike; enabled again it revives none', async () => {
    const { api, tenant } = bench;
    const row = await holdDomain(bench, 'ending.example');
    await addUser(bench, 'alice@ending.example');
    const server = await enrolled(bench, 'sip-domain', ['sip:ending.example', `sip:${HOME}`]);
    const phone = await enrolled(bench, 'sip-user', ['sip:alice@ending.example']);
    await disableDomain(api, tenant.developer, row.id, 'cessationOfOperation');
    await expect(enableDomain(api, tenant.developer, row.id)).rejects.toMatchObject({ code: 'stillRevoking' });
    expect(await follow(bench, row.id)).toEqual({ devices: 2, revoked: 2 });
    await enableDomain(api, tenant.developer, row.id);
    await inStep(bench);
    for (const { certificate } of [server, phone]) expect(await statusOf(certificate)).toBe('revoked');
    const { enrollment } = await resetDevice(api, bench.officer, phone.device.id);
    await enroll(bench.est, firstRequest(bench, { ...phone, secret: enrollment.secret }));
  });

  test('takes two people where it ends the certificates of many devices, counted first', async () => {
    const { api, db, officer, approver, tenant } = bench;
    const row = await holdDomain(bench, 'crowded.example');
    const seen = await enrolled(bench, 'sip-domain', ['sip:crowded.example']);
    await db.sql(
      `insert into devices (id, instance_id, app_id, profile, names, name_holders, owner_org_id, issuer_org_id)
       select gen_random_uuid(), gen_random_uuid(), app_id, profile, names, name_holders, owner_org_id, issuer_org_id
       from devices, generate_series(1, 599) where id = $1`,
      [seen.device.id],
    );
    await expect(disableDomain(api, tenant.developer, row.id, 'superseded')).rejects.toMatchObject({
      code: 'needsApproval',
    });
    const parameters = { domainId: row.id, reason: 'superseded', devices: 600 };
    const { approvalId } = await propose(api, officer, 'domain.disable', parameters);
    expect(domainStatus(api, row.id)).toBe('verified');
    const { result } = await approve(api, approver, approvalId, {});
    expect(result).toEqual({ domainId: row.id, devices: 600 });
    expect(await follow(bench, row.id)).toEqual({ devices: 600, revoked: 1 });
    expect(await statusOf(seen.certificate)).toBe('revoked');
  });
});

describe('other names for a device', () => {
  test('revoke what says the old ones, for the reason given; the device enrolls anew after a reset', async () => {
    const { api, officer } = bench;
    const phone = await enrolled(bench, 'sip-user', [`sip:Alice@${HOME}`]);
    const changed = await changeDevice(api, officer, phone.device.id, {
      names: [`sip:bob@${HOME}`],
      reason: 'superseded',
    });
    expect(changed.names).toEqual([`sip:bob@${HOME}`]);
    await inStep(bench);
    expect(await reasonOf(phone.certificate)).toBe('superseded');
    const { enrollment } = await resetDevice(api, officer, phone.device.id);
    const again = await enroll(bench.est, firstRequest(bench, { ...phone, secret: enrollment.secret }));
    expect(uris(again)).toEqual([`sip:bob@${HOME}`]);
  });

  test('that are only more leave the certificate as it is, until the device has a new one', async () => {
    const { api, officer } = bench;
    const phone = await enrolled(bench, 'sip-user', [`sip:Alice@${HOME}`]);
    await changeDevice(api, officer, phone.device.id, { names: [`sip:Alice@${HOME}`, `sip:bob@${HOME}`] });
    await inStep(bench);
    expect(await statusOf(phone.certificate)).toBe('active');
    // The end of either name ends it all the same.
    const bob = await bench.db.sql<{ id: string }>(`select id from name_users where address = $1`, [`bob@${HOME}`]);
    expect((await deviceRow(phone)).nameHolders).toContain(bob[0]!.id);
  });

  test('and another profile revoke it too; names that the new profile has not are refused', async () => {
    const { api, officer } = bench;
    const phone = await enrolled(bench, 'sip-user', [`sip:Alice@${HOME}`]);
    const change = (profile: string, names?: string[]) =>
      changeDevice(api, officer, phone.device.id, { profile, ...(names && { names }) });
    await expect(change('device')).rejects.toMatchObject({ code: 'nameRules' });
    expect((await refusals(bench, 'device.changed')).at(-1)).toContain('takes no name of type sip-user');
    expect(await statusOf(phone.certificate)).toBe('active');
    await change('device', []);
    await inStep(bench);
    expect(await reasonOf(phone.certificate)).toBe('affiliationChanged');
  });

  test('given while it enrolls end that enrollment: what is recorded has the new ones, or nothing is', async () => {
    const { api, est, officer } = bench;
    const made = await register(bench, 'sip-user', [`sip:Alice@${HOME}`]);
    let changed = false;
    // Memory that has not heard of it yet.
    const { index } = est.follower;
    const heard = (id: string) => (index.user(id)?.status === 'superseded' ? undefined : index.user(id));
    const behind = Object.create(index, { user: { value: heard } }) as typeof index;
    const late: AuthorityContext = {
      ...est,
      follower: { index: behind, assertFresh: () => undefined, catchUp: async () => undefined },
      database: {
        transaction: (work, options) => est.database.transaction(work, options),
        single: async (work) => {
          const read = await est.database.single(work);
          if (!changed) await changeDevice(api, officer, made.device.id, { names: [`sip:bob@${HOME}`] });
          changed = true;
          return read;
        },
      },
    };
    expect(uris(await enroll(late, firstRequest(bench, made)))).toEqual([`sip:bob@${HOME}`]);
  });
});

describe('of a device, SQL cannot change', () => {
  const changes: [string, string][] = [
    ['its names', `names = '["sip:bob@${HOME}"]'`],
    ['its profile', `profile = 'sip-domain'`],
    ['its instanceId', `instance_id = gen_random_uuid()`],
    ['its app', `app_id = (select id from apps where id <> devices.app_id limit 1)`],
    ['what its names rest on', `name_holders = '{}'`],
    ['that it has a MAC', `mac = null`],
    ['that it has a MAC and names', `mac = null, names = '[]', name_holders = '{}'`],
  ];
  test.each(changes)('%s', async (_, set) => {
    const made = await register(bench, 'sip-user', [`sip:Alice@${HOME}`]);
    await bench.db.tamper(`update devices set ${set} where id = $1`, [made.device.id]);
    const refused = { kind: expect.stringMatching(/internal|forbidden/) };
    await expect(enroll(bench.est, firstRequest(bench, made))).rejects.toMatchObject(refused);
    const [row] = await bench.db.sql<{ n: number }>(
      'select count(*)::int as n from certificates where device_id = $1',
      [made.device.id],
    );
    expect(row!.n).toBe(0);
  });

  test('its names back to what they were', async () => {
    const { api, officer, db } = bench;
    const made = await register(bench, 'sip-user', [`sip:Alice@${HOME}`]);
    const before = await deviceRow(made);
    await changeDevice(api, officer, made.device.id, { names: [`sip:bob@${HOME}`] });
    await inStep(bench);
    await db.tamper(`update devices set names = $2, name_holders = $3, bound_at = $4, mac = $5 where id = $1`, [
      made.device.id,
      JSON.stringify(before.names),
      before.nameHolders,
      before.boundAt,
      before.mac,
    ]);
    expect(deviceRowMac(db.macKey, await deviceRow(made))).toEqual(before.mac);
    await expect(enroll(bench.est, firstRequest(bench, made))).rejects.toMatchObject({ kind: 'unavailable' });
    const later = { ...bench.est.clock, now: () => addSeconds(bench.est.clock.now(), 120) };
    await expect(enroll({ ...bench.est, clock: later }, firstRequest(bench, made))).rejects.toMatchObject({
      code: 'rowMac',
    });
  });
});

describe('a device of before there were MACs', () => {
  const old = async () => {
    const made = await register(bench, 'device', []);
    await bench.db.tamper(`update devices set mac = null, bound_at = null where id = $1`, [made.device.id]);
    return made;
  };

  test('enrolls by the secret that was made for it, renews, and is reset', async () => {
    const { api, est, officer } = bench;
    const made = await old();
    const certificate = await enroll(est, firstRequest(bench, made));
    await enroll(est, renewRequest(made.device, certificate, newKey()));
    const { enrollment } = await resetDevice(api, officer, made.device.id);
    await enroll(est, firstRequest(bench, { ...made, secret: enrollment.secret }));
    await changeDevice(api, officer, made.device.id, { profile: 'sip-user', names: [`sip:Alice@${HOME}`] });
    expect((await deviceRow(made)).mac).not.toBeNull();
  });

  test('is not given a secret, or names, under an instanceId that SQL wrote', async () => {
    const { api, officer } = bench;
    const made = await old();
    await bench.db.tamper(`update devices set instance_id = gen_random_uuid() where id = $1`, [made.device.id]);
    await expect(resetDevice(api, officer, made.device.id)).rejects.toMatchObject({ code: 'rowMac' });
    await expect(changeDevice(api, officer, made.device.id, { names: [] })).rejects.toMatchObject({ code: 'rowMac' });
    await revokeDevice(api, officer, made.device.id, { reason: 'superseded' });
  });
});
