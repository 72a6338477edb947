import type { Tx } from './database.js';

/** Leave for one renewal with a certificate that has ended. */
export interface LateRenewalRow {
  id: string;
  deviceId: string;
  grantedBy: string;
  grantedAt: Date;
  /** Until when it may be used. */
  expiresAt: Date;
  ownerOrgId: string;
  issuerOrgId: string;
  /** Under secrets/status.mac; made and checked above this lib. */
  mac: Buffer;
}

export async function insertLateRenewal(tx: Tx, row: LateRenewalRow): Promise<void> {
  await tx.run(
    `insert into late_renewals (id, device_id, granted_by, granted_at, expires_at, owner_org_id, issuer_org_id, mac)
     values ($1, $2, $3, $4, $5, $6, $7, $8)`,
    [row.id, row.deviceId, row.grantedBy, row.grantedAt, row.expiresAt, row.ownerOrgId, row.issuerOrgId, row.mac],
  );
}

/** Those that are not used, nor past their end, newest first. One whose certificate was abandoned unsigned is not used. */
export async function findUnusedLateRenewals(tx: Tx, deviceId: string, at: Date): Promise<LateRenewalRow[]> {
  return tx.rows<LateRenewalRow>(
    `select id, device_id as "deviceId", granted_by as "grantedBy", granted_at as "grantedAt", expires_at as "expiresAt",
       owner_org_id as "ownerOrgId", issuer_org_id as "issuerOrgId", mac
     from late_renewals l where device_id = $1 and expires_at > $2
       and (serial is null or exists (select 1 from serials s where s.serial = l.serial and s.state = 'abandoned'))
     order by id desc`,
    [deviceId, at],
  );
}

/** With the device locked. */
export async function spendLateRenewal(tx: Tx, id: string, serial: Buffer): Promise<void> {
  await tx.run(`update late_renewals set serial = $2 where id = $1`, [id, serial]);
}

export type RenewalCallKind = 'group' | 'issuer';

/** Somebody's word that what was issued before is to be renewed now. */
export interface RenewalCallRow {
  id: string;
  kind: RenewalCallKind;
  subject: string;
  calledBy: string;
  calledAt: Date;
  reason: string;
  ownerOrgId: string;
  issuerOrgId: string;
  /** Under secrets/status.mac; made and checked above this lib. */
  mac: Buffer;
}

export async function insertRenewalCall(tx: Tx, row: RenewalCallRow): Promise<void> {
  await tx.run(
    `insert into renewal_calls (id, kind, subject, called_by, called_at, reason, owner_org_id, issuer_org_id, mac)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
    [row.id, row.kind, row.subject, row.calledBy, row.calledAt, row.reason, row.ownerOrgId, row.issuerOrgId, row.mac],
  );
}

/** The newest call of each subject: an older one says nothing that it does not. */
export async function listRenewalCalls(tx: Tx): Promise<RenewalCallRow[]> {
  return tx.rows<RenewalCallRow>(
    `select distinct on (kind, subject) id, kind, subject, called_by as "calledBy", called_at as "calledAt", reason,
       owner_org_id as "ownerOrgId", issuer_org_id as "issuerOrgId", mac
     from renewal_calls order by kind, subject, called_at desc`,
  );
}

/** What decides when a certificate is to be renewed; undefined: there is no such certificate. */
export interface RenewalFacts {
  serial: Buffer;
  issuerId: string;
  notBefore: Date;
  notAfter: Date;
  issuedAt: Date;
  groupId: string | null;
  keyBlocked: boolean;
}

export async function findRenewalFacts(tx: Tx, serial: Buffer): Promise<RenewalFacts | undefined> {
  const [row] = await tx.rows<RenewalFacts>(
    `select c.serial, c.issuer_id as "issuerId", c.not_before as "notBefore", c.not_after as "notAfter",
       c.created_at as "issuedAt",
       (select d.group_id from devices d where d.id = c.device_id) as "groupId",
       exists (select 1 from blocked_keys b where b.spki_sha256 = c.spki_sha256) as "keyBlocked"
     from serials s join certificates c on c.serial = s.serial and c.not_after = s.not_after
     where s.serial = $1 and s.state = 'issued'`,
    [serial],
  );
  return row;
}

/** A certificate that is revoked as superseded from `dueAt` on. */
export interface Supersession {
  serial: Buffer;
  successor: Buffer;
}

export async function insertSupersession(tx: Tx, row: Supersession & { dueAt: Date }): Promise<void> {
  await tx.run(`insert into supersessions (serial, successor, due_at) values ($1, $2, $3) on conflict do nothing`, [
    row.serial,
    row.successor,
    row.dueAt,
  ]);
}

/** Taken out of the table: of two workers one has each. */
export async function takeDueSupersessions(tx: Tx, at: Date, limit: number): Promise<Supersession[]> {
  return tx.rows<Supersession>(
    `delete from supersessions where serial in (
       select serial from supersessions where due_at <= $1 order by due_at limit $2)
     returning serial, successor`,
    [at, limit],
  );
}

/** Serials locked in one order, so that two transactions that need both never wait for each other. */
export async function lockSerials(tx: Tx, serials: readonly Buffer[]): Promise<void> {
  await tx.rows(`select 1 from serials where serial = any($1) order by serial for no key update`, [serials]);
}
