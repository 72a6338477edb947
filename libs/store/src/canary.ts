import type { Tx } from './database.js';

/** What the inner canary has made of itself so far. */
export interface CanaryThings {
  vendorId: string;
  appId: string | null;
  releaseId: string | null;
  deviceId: string | null;
  instanceId: string | null;
}

/** The oldest of each, below the vendor of that name; undefined: there is no such vendor. */
export async function findCanaryThings(tx: Tx, vendorName: string): Promise<CanaryThings | undefined> {
  const [row] = await tx.rows<CanaryThings>(
    `select o.id as "vendorId", a.id as "appId", r.id as "releaseId", d.id as "deviceId", d.instance_id as "instanceId"
     from organizations o
       left join apps a on a.owner_org_id = o.id
       left join releases r on r.app_id = a.id
       left join devices d on d.app_id = a.id and d.status <> 'revoked'
     where o.kind = 'vendor' and o.name = $1 order by o.id, a.id, r.id, d.id limit 1`,
    [vendorName],
  );
  return row;
}
