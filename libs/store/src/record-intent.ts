import { auditRecord, AUDIT_RECORD, insertAuditsFrom, type NewAuditRow } from './audit.js';
import type { IntentRow } from './certificates.js';
import type { Tx } from './database.js';
import type { Device } from './devices.js';
import { hexOf, hexOrNull } from './hex.js';
import { namesHeld } from './names-held.js';

/** An intent with the entry that tells of it. */
export interface NewIntent {
  row: IntentRow;
  audit: NewAuditRow;
}

/** An intent that a one-time secret asks for, and what must not have changed since the secret was read. */
export interface BoundIntent extends NewIntent {
  secret: { id: string; request: Buffer; device: Pick<Device, 'mac' | 'nameHolders'> };
}

const INTENT_RECORD = `serial bytea, issuer_id uuid, shard smallint, not_before timestamptz, not_after timestamptz, profile text,
  profile_version integer, published boolean, tbs bytea, spki_sha256 bytea, subject text, names text[], device_id uuid,
  app_id uuid, release_id uuid, secret_id text, request_label text, requester text, owner_org_id uuid, issuer_org_id uuid,
  mac bytea, bound_request bytea, device_mac bytea, ${AUDIT_RECORD}`;

/** `allowed`: the serials that may be written. */
const recordStatement = (allowed: string): string => `with asked as materialized (
    select * from jsonb_to_recordset($1::jsonb) as r(${INTENT_RECORD})
  ), ${allowed}, taken as (
    insert into serials (serial, issuer_id, shard, not_after, published)
    select serial, issuer_id, shard, not_after, published from asked where serial in (select serial from allowed)
    returning serial
  ), written as (
    insert into certificates (serial, issuer_id, not_before, not_after, profile, profile_version, tbs, spki_sha256,
      subject, names, device_id, app_id, release_id, secret_id, request_label, requester, owner_org_id, issuer_org_id, mac)
    select serial, issuer_id, not_before, not_after, profile, profile_version, tbs, spki_sha256,
      subject, names, device_id, app_id, release_id, secret_id, request_label, requester, owner_org_id, issuer_org_id, mac
    from asked join taken using (serial)
  ), audited as (
    ${insertAuditsFrom('asked join taken using (serial)')}
  )
  select serial from taken`;

// The last wall for every way to a certificate; a CA carries its own key, and another certificate of it the same one.
const RECORD = recordStatement(`allowed as (
    select serial from asked where not exists (select 1 from blocked_keys b
      where b.spki_sha256 = asked.spki_sha256 and (b.source <> 'ca' or asked.profile not like '%-ca'))
  )`);

// The device is locked first, as its revocation does: of the two, the later one sees what the earlier one did.
const boundStatement = (namesAllowed: string): string =>
  recordStatement(`device as (
    select asked.serial, asked.secret_id, asked.bound_request from asked cross join lateral (
      select d.id from devices d
      where d.id = asked.device_id and d.status in ('registered', 'enrolled') and (d.group_id is null or
          coalesce((select status from status_changes where kind = 'group' and subject = d.group_id::text
                    order by seq desc limit 1), 'active') = 'active')
        and d.mac is not distinct from asked.device_mac and ${namesAllowed}
      for no key update) as locked
    where not exists (select 1 from blocked_keys b where b.spki_sha256 = asked.spki_sha256)
  ), allowed as (
    update enrollment_secrets s set state = 'bound', bound_serial = device.serial, bound_request = device.bound_request
    from device
    where s.id = device.secret_id and s.state = 'free' and coalesce(s.bound_request, device.bound_request) = device.bound_request
    returning device.serial
  )`);

const RECORD_BOUND = boundStatement(namesHeld('d.name_holders'));
// Opening what the log says of names costs more than all the rest, and most devices have none.
const RECORD_BOUND_NAMELESS = boundStatement(`d.name_holders = '{}'`);

/**
 * Serial number, to-be-signed bytes and audit entry of an intent that no secret asks for. False, with nothing written, when
 * the key is blocked.
 */
export async function recordIntent(tx: Tx, intent: NewIntent): Promise<boolean> {
  const taken = await tx.rows<{ serial: Buffer }>(RECORD, [JSON.stringify([recordOf(intent)])]);
  return taken.length === 1;
}

/**
 * The same, and the binding of the one-time secrets that ask for them. False, with nothing of this one written, when its secret
 * is not free any more, its device or the group of it may not enroll, its profile or names were changed since (`device`),
 * one of them is not held any more, or the key is blocked.
 */
export async function recordBoundIntents(tx: Tx, intents: readonly BoundIntent[]): Promise<boolean[]> {
  // Everybody locks devices in one order.
  const sorted = intents.toSorted((x, y) => (String(x.row.deviceId) < String(y.row.deviceId) ? -1 : 1));
  const records = sorted.map((intent) => ({
    ...recordOf(intent),
    secret_id: intent.secret.id,
    bound_request: hexOf(intent.secret.request),
    device_mac: hexOrNull(intent.secret.device.mac),
  }));
  const statement = intents.some(({ secret }) => secret.device.nameHolders.length > 0)
    ? RECORD_BOUND
    : RECORD_BOUND_NAMELESS;
  const taken = await tx.rows<{ serial: Buffer }>(statement, [JSON.stringify(records)]);
  const serials = new Set(taken.map(({ serial }) => serial.toString('hex')));
  return intents.map(({ row }) => serials.has(row.serial.toString('hex')));
}

const recordOf = ({ row, audit }: NewIntent) => ({
  ...auditRecord(audit),
  serial: hexOf(row.serial),
  issuer_id: row.issuerId,
  shard: row.shard,
  not_before: row.notBefore.toISOString(),
  not_after: row.notAfter.toISOString(),
  profile: row.profile,
  profile_version: row.profileVersion,
  published: row.published,
  tbs: hexOf(row.tbs),
  spki_sha256: hexOf(row.spkiSha256),
  subject: row.subject,
  names: row.names,
  device_id: row.deviceId,
  app_id: row.appId,
  release_id: row.releaseId,
  secret_id: row.secretId,
  request_label: row.requestLabel,
  requester: row.requester,
  owner_org_id: row.ownerOrgId,
  issuer_org_id: row.issuerOrgId,
  mac: hexOf(row.mac),
});
