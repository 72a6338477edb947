import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';

let db: TestDatabase;
beforeAll(async () => {
  db = await startTestDatabase({ upTo: 'schema' });
});
afterAll(() => db.stop());

/** Every right on tables that a plane has, by role and table; a right on columns names them. Nothing else may be granted. */
const DECLARED: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  tm_api: {
    secret_readers: 'delete insert select update(in_use,seen_at,versions)',
    organizations: 'insert select',
    apps: 'insert select',
    releases: 'insert select',
    device_groups: 'insert select update(name,status)',
    operator_tokens: 'insert select update(last_used_at)',
    imported_crls: 'insert select',
    issuer_links: 'insert select update(certificate)',
    issuers: 'insert select update(certificate,not_after)',
    devices: 'insert select update(bound_at,group_id,mac,name_holders,names,profile,release_id,status)',
    domains: 'insert select update(checked_at,failures,held)',
    name_users: 'insert select',
    serials: 'insert select update(state)',
    certificates: 'insert select update(der,superseded_by)',
    enrollment_secrets: 'insert select update(state)',
    device_transport_keys: 'delete insert select',
    blocked_keys: 'insert select',
    blocked_key_imports: 'insert select',
    key_findings: 'select',
    keys: 'insert select update(ends_at,status,status_before)',
    key_audiences: 'insert select',
    status_changes: 'insert select',
    status_counter: 'select update(mac,seq)',
    audit: 'insert select',
    outbox: 'insert',
    idempotency: 'delete insert select',
    artifacts: 'select',
    people: 'insert select',
    invitations: 'insert select update(used_at)',
    passkeys: 'insert select update(counter,last_used_at)',
    sign_in_attempts: 'delete insert select',
    approvals: 'insert select update(decided_at,decider,decider_person,result,single_operator,state)',
    policy_documents: 'insert select',
    device_identities: 'delete insert select',
    anchor_crls: 'delete insert select',
    audit_leaves: 'select',
    audit_tile_roots: 'select',
    audit_checkpoints: 'select',
    audit_cosignatures: 'select',
    audit_keys: 'select(id,name,public_key)',
    webhooks: 'insert select update(description,events,previous_ends_at,sealed_previous,sealed_secret,state,url)',
    mail_subscriptions: 'insert select update(digest,events,state)',
    notices: 'insert select',
    deliveries: 'insert select update(next_at,state)',
    delivery_attempts: 'select',
    quotas: 'insert select update(issuance_per_minute,requests_per_minute,updated_at)',
    quota_windows: 'insert select update(used)',
    failed_attempts: 'insert select update(count)',
    pending_enrollments: 'select update(decided_at,decider,decider_person,expires_at,mac,reason,state)',
    late_renewals: 'insert select',
    renewal_calls: 'insert select',
  },
  tm_est: {
    secret_readers: 'delete insert select update(in_use,seen_at,versions)',
    organizations: 'select',
    apps: 'select',
    releases: 'select',
    device_groups: 'select',
    devices: 'insert select update(status)',
    device_identities: 'insert select',
    anchor_crls: 'select',
    issuer_links: 'select',
    issuers: 'select',
    serials: 'insert select update(state)',
    certificates: 'insert select update(der,superseded_by)',
    enrollment_secrets:
      'insert(device_id,expires_at,id,issuer_org_id,owner_org_id,pepper_version,sealed_digest,sealed_verifier) select update(bound_request,bound_serial,state)',
    device_transport_keys: 'select',
    blocked_keys: 'insert(actor,reason,source,spki_sha256) select',
    status_changes: 'insert select',
    status_counter: 'select update(mac,seq)',
    pending_enrollments: 'insert select update(decided_at,mac,serial,state)',
    late_renewals: 'select update(serial)',
    renewal_calls: 'select',
    supersessions: 'insert',
    keys: 'select(audience,created_at,ends_at,enroll,environment,expires_at,id,issuer_org_id,mac,owner_org_id,pepper_version,predecessor_id,release_id,sealed_verifier,status,status_before)',
    key_audiences: 'select',
    people: 'select',
    audit: 'insert select(id)',
    outbox: 'insert',
    artifacts: 'select',
    policy_documents: 'select',
    quotas: 'select',
    quota_windows: 'insert select update(used)',
    failed_attempts: 'insert select update(count)',
  },
  tm_responder: {
    secret_readers: 'delete insert select update(in_use,seen_at,versions)',
    issuer_links: 'select',
    issuers: 'select',
    serials: 'select',
    certificates: 'select(created_at,device_id,issuer_id,not_after,not_before,profile,serial,spki_sha256)',
    devices: 'select(group_id,id)',
    blocked_keys: 'select(spki_sha256)',
    renewal_calls: 'select',
    status_changes: 'select',
    status_counter: 'select',
    artifacts: 'select',
    ocsp_answers: 'select',
    audit_keys: 'select(id,name,public_key)',
    policy_documents: 'select',
  },
  tm_worker: {
    secret_readers: 'delete insert select update(in_use,seen_at,versions)',
    organizations: 'select',
    apps: 'select',
    releases: 'select',
    device_groups: 'select',
    operator_tokens: 'select update(pepper_version,sealed_verifier)',
    devices: 'select update(status)',
    imported_crls: 'select',
    issuer_links: 'select update(certificate)',
    domains: 'select update(checked_at,failures,held)',
    name_users: 'select',
    issuers: 'select update(certificate)',
    serials: 'insert select update(state)',
    certificates: 'insert select update(der,superseded_by)',
    enrollment_secrets: 'select update(bound_request,bound_serial,pepper_version,sealed_digest,sealed_verifier,state)',
    blocked_keys: 'insert select',
    blocked_key_imports: 'select',
    key_findings: 'delete insert select',
    key_scan: 'select update(altered,import_id,rules,scanned_at)',
    keys: 'select update(pepper_version,sealed_verifier)',
    key_audiences: 'select',
    status_changes: 'insert select',
    status_counter: 'select update(mac,seq)',
    audit: 'insert select',
    outbox: 'delete insert select update(done_at,relayed_at)',
    idempotency: 'delete select update(sealed)',
    expirations: 'insert select',
    artifacts: 'insert select update',
    crl_scopes: 'insert select update(number)',
    ocsp_answers: 'delete insert select update',
    people: 'select',
    invitations:
      'select(expires_at,id,organization_id,pepper_version,person_id,sealed_verifier,used_at) update(pepper_version,sealed_verifier)',
    approvals: 'select update(decided_at,state)',
    policy_documents: 'select',
    pending_enrollments: 'select update(decided_at,decider,mac,reason,state)',
    supersessions: 'delete insert select',
    audit_leaves: 'insert select',
    audit_tile_roots: 'insert select',
    audit_checkpoints: 'insert select',
    audit_cosignatures: 'insert select',
    audit_keys: 'select update(sealed_private)',
    audit_sealer: 'select update(size)',
    webhooks: 'select update(sealed_previous,sealed_secret,state)',
    mail_subscriptions: 'select update(last_sent_at)',
    notices: 'delete insert select',
    deliveries: 'delete insert select update(attempts,next_at,state)',
    delivery_attempts: 'delete insert select',
    notice_cursor: 'select update(leaf_index)',
    expiry_warnings: 'insert select',
    sign_in_attempts: 'delete select',
    quota_windows: 'delete select',
    failed_attempts: 'delete select',
  },
  tm_signer: {
    secret_readers: 'delete insert select update(in_use,seen_at,versions)',
    ca_keys: 'insert select update(sealed_private)',
    issuers: 'select',
    issuer_links: 'select',
    serials: 'select',
    certificates: 'select',
    status_changes: 'select',
    status_counter: 'select',
    policy_documents: 'select',
    crl_scopes: 'select',
    artifacts: 'select(name,number,seq)',
    approvals:
      'select(digest,expires_at,id,mac,operation,organization_id,proposal,proposed_at,proposer,proposer_person,state,subject)',
    audit: 'insert select(id)',
  },
  public: {},
};

/** From the catalog itself: rights on tables and columns of every schema of ours, partitions included. */
const GRANTED = `
  with rights as (
    select c.oid, c.relname, a.grantee, lower(a.privilege_type) as verb, null::text as column
    from pg_class c join pg_namespace n on n.oid = c.relnamespace, aclexplode(c.relacl) a
    where n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg_toast%' and a.grantee <> c.relowner
    union all
    select c.oid, c.relname, a.grantee, lower(a.privilege_type), att.attname
    from pg_attribute att join pg_class c on c.oid = att.attrelid join pg_namespace n on n.oid = c.relnamespace,
      aclexplode(att.attacl) a
    where n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg_toast%'
  ), verbs as (
    select coalesce(r.rolname, 'public') as role, relname, verb,
      string_agg(rights.column, ',' order by rights.column) as columns
    from rights left join pg_roles r on r.oid = rights.grantee group by 1, 2, 3
  )
  select role, relname as "table", string_agg(verb || coalesce('(' || columns || ')', ''), ' ' order by verb) as rights
  from verbs group by 1, 2`;

describe('rights on tables', () => {
  test.each(Object.keys(DECLARED))(
    '%s has exactly those declared here, on no partition and on nothing else',
    async (role) => {
      const granted = await db.sql<{ role: string; table: string; rights: string }>(GRANTED);
      const mine = granted.filter((row) => row.role === role).map((row) => [row.table, row.rights]);
      expect(Object.fromEntries(mine)).toEqual(DECLARED[role]);
    },
  );

  test('nobody else has any', async () => {
    const granted = await db.sql<{ role: string }>(GRANTED);
    const roles = new Set(granted.map((row) => row.role));
    expect([...roles].filter((role) => !(role in DECLARED))).toEqual([]);
  });

  test('no right may be passed on', async () => {
    const rows = await db.sql(
      `select c.relname from pg_class c, aclexplode(c.relacl) a
       where a.is_grantable and a.grantee <> c.relowner and c.relnamespace = 'touchmark'::regnamespace`,
    );
    expect(rows).toEqual([]);
  });
});

describe('roles', () => {
  test('of the planes can log in and nothing more; the owner of the tables cannot log in', async () => {
    const rows = await db.sql(
      `select rolname as name, rolcanlogin as login, rolinherit as inherit,
         rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls as special
       from pg_roles where rolname like 'tm\\_%' order by 1`,
    );
    const plane = (name: string) => ({ name, login: true, inherit: false, special: false });
    expect(rows).toEqual([
      plane('tm_api'),
      plane('tm_est'),
      { name: 'tm_owner', login: false, inherit: true, special: false },
      plane('tm_responder'),
      plane('tm_signer'),
      plane('tm_worker'),
    ]);
  });

  test('of the planes belong to no other role', async () => {
    const rows = await db.sql(
      `select m.rolname from pg_auth_members a join pg_roles m on m.oid = a.member where m.rolname like 'tm\\_%'`,
    );
    expect(rows).toEqual([]);
  });

  test('own nothing in the schema touchmark but tm_owner, who owns all of it', async () => {
    const rows = await db.sql(
      `select distinct pg_get_userbyid(relowner) as owner from pg_class where relnamespace = 'touchmark'::regnamespace
       union select pg_get_userbyid(nspowner) from pg_namespace where nspname = 'touchmark'
       union select pg_get_userbyid(proowner) from pg_proc where pronamespace = 'touchmark'::regnamespace`,
    );
    expect(rows).toEqual([{ owner: 'tm_owner' }]);
  });

  test('make nothing: no plane may create in a schema, except the worker in that of its queue', async () => {
    const rows = await db.sql(
      `select r.rolname as role, n.nspname as schema from pg_roles r, pg_namespace n
       where r.rolname like 'tm\\_%' and r.rolname <> 'tm_owner' and n.nspname not like 'pg\\_%'
         and has_schema_privilege(r.rolname, n.nspname, 'create')`,
    );
    expect(rows).toEqual([{ role: 'tm_worker', schema: 'bull' }]);
  });

  test('enter only the schemas they need', async () => {
    const rows = await db.sql<{ role: string }>(
      `select r.rolname as role from pg_roles r where r.rolname like 'tm\\_%' and has_schema_privilege(r.rolname, 'bull', 'usage')`,
    );
    expect(rows).toEqual([{ role: 'tm_worker' }]);
  });
});

describe('functions', () => {
  test('that run with the rights of their owner are one, called by the worker alone', async () => {
    const rows = await db.sql<{ name: string }>(
      `select proname as name from pg_proc where pronamespace = 'touchmark'::regnamespace and prosecdef`,
    );
    expect(rows).toEqual([{ name: 'ensure_partitions' }]);
    const may = await db.sql<{ role: string }>(
      `select rolname as role from pg_roles where rolname like 'tm\\_%' and rolname <> 'tm_owner'
         and has_function_privilege(rolname, 'touchmark.ensure_partitions(timestamptz)', 'execute')`,
    );
    expect(may).toEqual([{ role: 'tm_worker' }]);
  });

  test('that run with the rights of their owner fix their search path, pg_temp last', async () => {
    const rows = await db.sql<{ config: string[] }>(
      `select proconfig as config from pg_proc where pronamespace = 'touchmark'::regnamespace and prosecdef`,
    );
    expect(rows).toEqual([{ config: ['search_path=touchmark, pg_temp'] }]);
  });
});

describe('time limits', () => {
  test.each(['api', 'est', 'responder', 'worker', 'signer'] as const)(
    'bound every statement, lock and idle transaction of %s',
    async (plane) => {
      const database = await db.as(plane);
      for (const setting of ['statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout']) {
        const [row] = await database.transaction((tx) =>
          tx.rows<{ value: string }>(`select current_setting($1) as value`, [setting]),
        );
        expect({ setting, value: row?.value }).not.toEqual({ setting, value: '0' });
      }
    },
  );
});
