import type { DataSource } from 'typeorm';

/** The login roles of the planes and the owner of all objects, who cannot log in. */
export const PLANE_ROLES = ['api', 'est', 'responder', 'worker', 'signer'] as const;
export type LoginPlane = (typeof PLANE_ROLES)[number];

const SETTINGS: Readonly<Record<LoginPlane, Readonly<Record<string, string>>>> = {
  api: { statement_timeout: '5s', lock_timeout: '2s', idle_in_transaction_session_timeout: '10s' },
  est: {
    statement_timeout: '5s',
    lock_timeout: '2s',
    idle_in_transaction_session_timeout: '10s',
    // Point look-ups and single rows only. Left to itself the planner makes a new plan for each: with partitions a plan for
    // given values looks cheaper than one that prunes when it runs, and making it costs more than running it.
    plan_cache_mode: 'force_generic_plan',
  },
  responder: { statement_timeout: '10s', lock_timeout: '2s', idle_in_transaction_session_timeout: '10s' },
  worker: { statement_timeout: '120s', lock_timeout: '5s', idle_in_transaction_session_timeout: '60s' },
  signer: { statement_timeout: '5s', lock_timeout: '2s', idle_in_transaction_session_timeout: '10s' },
};

/**
 * Makes the roles if absent, sets their passwords and time limits, and the schemas `touchmark` (owned by tm_owner) and
 * `bull` (owned by tm_worker: BullMQ migrates its own tables). Roles belong to the whole cluster: two instances in one
 * cluster share them and need the same passwords. Runs as the role of the migrate connection, which must be allowed to
 * create roles.
 */
export async function ensureRoles(source: DataSource, passwords: Readonly<Record<LoginPlane, string>>): Promise<void> {
  const quote = (text: string) => `'${text.replaceAll("'", "''")}'`;
  const [{ database }] = (await source.query('select quote_ident(current_database()) as database')) as [
    { database: string },
  ];
  const role = async (name: string, options: string) => {
    await source.query(`do $$ begin create role ${name} ${options}; exception when duplicate_object then null; end $$`);
  };
  await role('tm_owner', 'nologin');
  await source.query('grant tm_owner to current_user');
  for (const plane of PLANE_ROLES) {
    await role(`tm_${plane}`, 'login noinherit');
    await source.query(`alter role tm_${plane} with login password ${quote(passwords[plane])}`);
    const settings = { ...SETTINGS[plane], search_path: plane === 'worker' ? 'touchmark, bull' : 'touchmark' };
    for (const [name, value] of Object.entries(settings)) {
      const literal = name === 'search_path' ? value : quote(value);
      await source.query(`alter role tm_${plane} in database ${database} set ${name} = ${literal}`);
    }
  }
  await source.query('create schema if not exists touchmark authorization tm_owner');
  await source.query('grant tm_worker to current_user');
  await source.query('create schema if not exists bull authorization tm_worker');
  await source.query(`grant connect on database ${database} to tm_api, tm_est, tm_responder, tm_worker, tm_signer`);
}
