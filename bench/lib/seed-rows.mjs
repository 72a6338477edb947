// A worker thread that makes rows as the product writes them, from a sample that the product wrote itself: for each message,
// a number, so many more enrolled devices with all that each leaves in the database, as text for COPY.
import { createSecretKey, hash, randomFillSync, randomUUID } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import { leafHash, rootOfHashes, TILE_WIDTH } from '#audit';
import { chainMacRow, encodeBase62 } from '#credential';
import { deviceRowMac, intentRowMac } from '#status';
import { encodeStatusRow } from '#store';
import { COLUMNS } from './seed-columns.mjs';

const POINT_BYTES = 65;
const DAY_MS = 86_400_000;
const SECRET_ID_LENGTH = 14;
const { sample, tree, revokeEvery, from, stepMs } = workerData;
const { device } = sample;
const bytesOf = (row) =>
  Object.fromEntries(
    Object.entries(row).map(([name, value]) => [name, value instanceof Uint8Array ? Buffer.from(value) : value]),
  );
const certificate = bytesOf(sample.certificate);
const spki = Buffer.from(sample.spki);
const macKey = createSecretKey(workerData.macKey);
const lifeMs = certificate.not_after.getTime() - certificate.not_before.getTime();
const skewMs = certificate.created_at.getTime() - certificate.not_before.getTime();

const utcTime = (at) => Buffer.from(`${at.toISOString().slice(2, 19).replaceAll(/[-:T]/g, '')}Z`);
const toHex = (bytes) => `\\\\x${bytes.toString('hex')}`;
const line = (...values) => `${values.join('\t')}\n`;

const pool = Buffer.alloc(65_536);
let poolAt = pool.length;

/** Random bytes, many drawn at once. */
function random(count) {
  if (poolAt + count > pool.length) {
    randomFillSync(pool);
    poolAt = 0;
  }
  poolAt += count;
  return Buffer.from(pool.subarray(poolAt - count, poolAt));
}

/** A version 7 UUID. */
function idOf(at) {
  const hexTime = at.getTime().toString(16).padStart(12, '0');
  const rest = random(9).toString('hex');
  return `${hexTime.slice(0, 8)}-${hexTime.slice(8)}-7${rest.slice(0, 3)}-8${rest.slice(3, 6)}-${rest.slice(6, 18)}`;
}

/** Where `part` stands in the to-be-signed bytes of the sample: it must, or the rows would not be what they look like. */
function placesOf(part) {
  const places = [];
  for (let at = certificate.tbs.indexOf(part); at >= 0; at = certificate.tbs.indexOf(part, at + 1)) places.push(at);
  if (places.length === 0) throw new Error('the sample certificate is not of the form that is expected');
  return places;
}

const samplePoint = spki.subarray(-POINT_BYTES);
const PLACES = {
  serial: placesOf(certificate.serial),
  point: placesOf(samplePoint),
  keyId: placesOf(hash('sha1', samplePoint, 'buffer')),
  deviceId: placesOf(Buffer.from(device.id)),
  instanceId: placesOf(Buffer.from(device.instance_id)),
  notBefore: placesOf(utcTime(certificate.not_before)),
  notAfter: placesOf(utcTime(certificate.not_after)),
};
const tbsAt = certificate.der.indexOf(certificate.tbs);

/** The certificate of the sample with other values; its signature stays the sample's, which nothing here looks at. */
function certificateOf(values) {
  const tbs = Buffer.from(certificate.tbs);
  for (const [name, places] of Object.entries(PLACES)) for (const at of places) values[name].copy(tbs, at);
  const der = Buffer.from(certificate.der);
  tbs.copy(der, tbsAt);
  return { tbs, der };
}

/** The sample's audit entries, with gaps where the values of another device go. */
const AUDIT = sample.entries.map((entry) => {
  const own = Object.entries({
    deviceId: device.id,
    instanceId: device.instance_id,
    serial: certificate.serial.toString('hex'),
    requestId: entry.request_id,
    at: entry.at.toISOString(),
  });
  const parts = Buffer.from(entry.canonical)
    .toString('utf8')
    .split(new RegExp(`(${own.map(([, value]) => value).join('|')})`));
  const gaps = parts.map((part) => own.find(([, value]) => value === part)?.[0]);
  const [kind] = entry.subject.split(':');
  return {
    action: entry.action,
    actorOf: (row) => (entry.actor.startsWith('device:') ? `device:${row.deviceId}` : entry.actor),
    subjectOf: (row) => `${kind}:${kind === 'device' ? row.deviceId : row.serialHex}`,
    fill: (row) => Buffer.from(parts.map((part, i) => (gaps[i] === undefined ? part : row[gaps[i]])).join('')),
  };
});

/** Hashes of the tree that no full tile holds yet, by level; the number of leaves; the last event; the end of the log. */
const open = tree.open.map((hashes) => hashes.map((one) => Buffer.from(one)));
let { size } = tree;
let { event } = workerData;
let { seq } = workerData.head;
let logMac = Buffer.from(workerData.head.mac);
let index = 0;
let out;

function addLeaf(leaf) {
  out.audit_leaves.push(line(size, event, toHex(leaf)));
  size += 1;
  let joined = leaf;
  for (let level = 0; ; level++) {
    (open[level] ??= []).push(joined);
    if (open[level].length < TILE_WIDTH) return;
    joined = rootOfHashes(open[level]);
    open[level] = [];
    out.audit_tile_roots.push(line(level + 1, size / TILE_WIDTH ** (level + 1) - 1, toHex(joined)));
  }
}

function addAudit(row) {
  for (const { action, actorOf, subjectOf, fill } of AUDIT) {
    const requestId = randomUUID();
    const canonical = fill({ ...row, serial: row.serialHex, requestId });
    event += 1;
    const { ownerOrgId, issuerOrgId } = sample;
    out.audit.push(
      line(
        event,
        row.at,
        actorOf(row),
        action,
        subjectOf(row),
        'success',
        requestId,
        toHex(canonical),
        ownerOrgId,
        issuerOrgId,
      ),
    );
    addLeaf(leafHash(canonical));
  }
}

function addDevice(row, createdAt) {
  const { deviceId, instanceId, at } = row;
  const { appId, releaseId, ownerOrgId, issuerOrgId } = sample;
  const facts = { id: deviceId, instanceId, appId, profile: 'device', names: [], nameHolders: [] };
  const mac = deviceRowMac(macKey, { ...facts, ownerOrgId, issuerOrgId, boundAt: createdAt });
  out.devices.push(
    line(
      deviceId,
      instanceId,
      appId,
      releaseId,
      'device',
      '[]',
      'enrolled',
      ownerOrgId,
      issuerOrgId,
      at,
      '{}',
      at,
      toHex(mac),
    ),
  );
}

/** The id of the secret, which the certificate names. It is spent, so that nothing opens its verifier: any bytes will do. */
function addSecret({ deviceId, at, serial }, createdAt) {
  const id = encodeBase62(random(10), SECRET_ID_LENGTH);
  const expiresAt = new Date(createdAt.getTime() + 7 * DAY_MS).toISOString();
  const { ownerOrgId, issuerOrgId } = sample;
  const sealed = toHex(random(sample.verifierBytes));
  const bound = ['spent', toHex(serial), toHex(random(32))];
  out.enrollment_secrets.push(line(id, deviceId, sealed, 1, ...bound, expiresAt, at, ownerOrgId, issuerOrgId));
  return id;
}

function addCertificate(row, createdAt, secretId) {
  const { serial, deviceId, instanceId, at } = row;
  const notBefore = new Date(Math.floor((createdAt.getTime() - skewMs) / 1000) * 1000);
  const notAfter = new Date(notBefore.getTime() + lifeMs);
  // No point of the curve: nothing but a search by new rules for weak keys would look.
  const point = Buffer.concat([samplePoint.subarray(0, 1), random(POINT_BYTES - 1)]);
  const { tbs, der } = certificateOf({
    serial,
    point,
    keyId: hash('sha1', point, 'buffer'),
    deviceId: Buffer.from(deviceId),
    instanceId: Buffer.from(instanceId),
    notBefore: utcTime(notBefore),
    notAfter: utcTime(notAfter),
  });
  const spkiSha256 = hash('sha256', Buffer.concat([spki.subarray(0, -POINT_BYTES), point]), 'buffer');
  const { issuer_id: issuerId, profile, profile_version: profileVersion, request_label: label, shard } = certificate;
  const requester = `secret:${secretId}`;
  const mac = intentRowMac(macKey, {
    serial,
    issuerId,
    tbs,
    profile,
    profileVersion,
    deviceId,
    requester,
    published: true,
  });
  const { appId, releaseId, ownerOrgId, issuerOrgId } = sample;
  const [ends, begins] = [notAfter.toISOString(), notBefore.toISOString()];
  out.serials.push(line(toHex(serial), issuerId, shard, ends, 'issued', at));
  out.certificates.push(
    line(
      ...[toHex(serial), ends, begins, issuerId, profile, profileVersion, toHex(tbs), toHex(der), toHex(spkiSha256)],
      ...[`CN=${deviceId}`, `{uri:urn:uuid:${instanceId}}`, deviceId, appId, releaseId, secretId, label, requester],
      ...[toHex(mac), ownerOrgId, issuerOrgId, at],
    ),
  );
  return { issuerId, shard, notAfter };
}

function addRevocation(row, { issuerId, shard, notAfter }) {
  const change = { kind: 'certificate', subject: row.serialHex, status: 'revoked', reason: 'cessationOfOperation' };
  const at = new Date(row.at);
  seq += 1;
  logMac = chainMacRow(
    macKey,
    logMac,
    encodeStatusRow(seq, { ...change, at, invalidityDate: null, endsAt: null, issuerId, shard, notAfter }),
  );
  const { kind, subject, status, reason } = change;
  out.status_changes.push(
    line(seq, kind, subject, status, reason, row.at, issuerId, shard, notAfter.toISOString(), toHex(logMac)),
  );
}

function addOne() {
  const createdAt = new Date(from + Math.floor(index * stepMs));
  // The first octet is the epoch, the second decides about the shard, of which there is one.
  const serial = Buffer.concat([certificate.serial.subarray(0, 1), random(certificate.serial.length - 1)]);
  const row = {
    at: createdAt.toISOString(),
    deviceId: idOf(createdAt),
    instanceId: randomUUID(),
    serial,
    serialHex: serial.toString('hex'),
  };
  addDevice(row, createdAt);
  const made = addCertificate(row, createdAt, addSecret(row, createdAt));
  addAudit(row);
  index += 1;
  if (index % revokeEvery === 0) addRevocation(row, made);
}

parentPort.on('message', (count) => {
  out = Object.fromEntries(Object.keys(COLUMNS).map((table) => [table, []]));
  for (let i = 0; i < count; i++) addOne();
  const text = Object.fromEntries(Object.entries(out).map(([table, lines]) => [table, lines.join('')]));
  parentPort.postMessage({ text, event, size, head: { seq, mac: logMac } });
});
