import { existsSync } from 'node:fs';
import path from 'node:path';
import { createSecretKey } from 'node:crypto';
import type { Logger } from 'pino';
import { ensureAuditKey } from '#audit';
import { systemClock, type Config } from '#kernel';
import {
  ensureAuthority,
  ensureCanaryVendor,
  ensureHierarchy,
  issueBootstrapToken,
  issueCanaryToken,
  type AuthorityContext,
} from '#authority';
import type { Token } from '#signing';
import { Database, migrate } from '#store';
import type { DatabaseServer } from './database-server.js';
import { replaceFile } from './home.js';
import { localSigner } from './local-signer.js';
import type { Secrets } from './secrets.js';

export const operatorTokenFile = (config: Config): string => path.join(config.home, 'operator.token');
/** What the inner canary comes with. */
export const canaryTokenFile = (config: Config): string => path.join(config.secretsDir, 'canary.token');

/**
 * What a first start makes and every later one finds: schema, the authority's organization, the key of the audit log, root
 * and issuing CA, the bootstrap operator token. Done as the owner of the schema; no plane can do any of it.
 */
export async function bootstrap(
  config: Config,
  server: DatabaseServer,
  secrets: Secrets,
  statusUrl: string,
  log: Logger,
  token?: Token,
): Promise<void> {
  const applied = await migrate(
    server.connectionOf('migrate'),
    secrets.of('migrate').databasePasswords,
    systemClock.now(),
  );
  if (applied.length > 0) log.info({ applied }, 'schema brought up to date');
  const onError = (err: Error) => log.warn({ err }, 'database connection lost');
  const owner = await Database.open(server.connectionOf('migrate'), 2, onError, { actAs: 'tm_owner' });
  const signerDatabase = await Database.open(server.connectionOf('signer'), 2, onError);
  try {
    const base = { plane: 'init' as const, database: owner, clock: systemClock, log, lifetimes: config.lifetimes };
    const { peppers, statusMacKey, auditKek } = secrets.of('worker');
    const macKey = createSecretKey(statusMacKey);
    const authorityId = await ensureAuthority(base);
    await owner.transaction((tx) => ensureAuditKey(tx, authorityId, auditKek));
    const signer = localSigner(config, signerDatabase, secrets.of('signer').caKek, token);
    await ensureHierarchy({ ...base, signer, authorityId, macKey }, statusUrl);
    const file = operatorTokenFile(config);
    const context = { ...base, authorityId, macKey, pepper: peppers.current };
    if (config.canarySeconds > 0) await prepareCanary(config, context);
    if (!existsSync(file)) {
      const token = await issueBootstrapToken(context, 'bootstrap');
      await replaceFile(file, `${token.text}\n`, 0o600);
      log.info({ tokenId: token.id, file }, 'operator token issued');
    }
  } finally {
    await owner.close();
    await signerDatabase.close();
  }
}

type CanaryMaker = Pick<AuthorityContext, 'database' | 'clock' | 'macKey' | 'pepper' | 'plane' | 'authorityId'>;

async function prepareCanary(config: Config, context: CanaryMaker): Promise<void> {
  await ensureCanaryVendor(context);
  const file = canaryTokenFile(config);
  if (existsSync(file)) return;
  const { text } = await issueCanaryToken(context);
  await replaceFile(file, `${text}\n`, 0o600);
}
