import type { Tx } from './database.js';

/** What the inner canary has made of itself so far. */
export interface CanaryThings {
  vendorId: string;
  appId: string | null;
  releaseId: string | null;
  deviceId: string | null;
  instanceId: string | null;
}

/** Id of the oldest vendor of that name. */
export async function findVendorNamed(tx: Tx, name: string): Promise<string | undefined> {
  const [row] = await tx.rows<{ id: string }>(
    `select id from organizations where kind = 'vendor' and name = $1 order by id limit 1`,
    [name],
  );
  return row?.id;
}

/** The oldest of each, below the vendor of that name; undefined: there is no such vendor. */
export async function findCanaryThings(tx: Tx, vendorName: string): Promise<CanaryThings | undefined> {
  // One after the other, and the app as a range: else the planner reads all devices there are for the one of this app.
  const [row] = await tx.rows<CanaryThings>(
    `select o.id as "vendorId", a.id as "appId", r.id as "releaseId", d.id as "deviceId", d.instance_id as "instanceId"
     from (select id from organizations where kind = 'vendor' and name = $1 order by id limit 1) o
       left join lateral (select id from apps where owner_org_id = o.id order by id limit 1) a on true
       left join lateral (select id from releases where app_id = a.id order by id limit 1) r on true
       left join lateral (
         select id, instance_id from devices where app_id between a.id and a.id and status <> 'revoked'
         order by app_id, id limit 1) d on true`,
    [vendorName],
  );
  return row;
}
