import { z } from 'zod';
import {
  expirePendingEnrollments,
  expireProposals,
  followGroup,
  followName,
  followRa,
  recheckDomains,
  recordExpirations,
  reconcileIntents,
  reconcileIssuers,
  renewOcspDelegate,
  revokeSuperseded,
  scanKeys,
  type AuthorityContext,
  type Issuer,
} from '#authority';
import type { SealingKey } from '#credential';
import { AuthorityError } from '#kernel';
import { publishNeededCrls, publishOcspAnswer, refreshOcspAnswers, type Publisher } from '#publication';
import { vouches } from '#status';
import { ensurePartitions, purgeLimits, purgeTrail } from '#store';
import type { Canary } from './canary/canary.js';
import type { NoticeJobs } from './notice-jobs.js';

/** What every processor works with. */
export interface JobContext {
  authority: AuthorityContext;
  publisher: Publisher;
  ocspKek: SealingKey;
  canary?: Canary | undefined;
  notices: NoticeJobs;
}

const OCSP_REFRESH_LIMIT = 20_000;
const OUTBOX_KEPT_DAYS = 7;

const IssuerJob = z.strictObject({ issuerId: z.string() });
const GroupJob = z.strictObject({ groupId: z.string() });
const RaJob = z.strictObject({ subject: z.string() });
const NameJob = z.strictObject({ holderId: z.string() });
const SerialJob = z.strictObject({ serial: z.string().regex(/^([0-9a-f]{2}){1,20}$/) });

/**
 * Every job by its name. Each parses its ids and calls one function that asks for itself what is wanted: run twice or
 * late, it finds nothing to do.
 */
export const PROCESSORS = {
  'crl.publish': async (context: JobContext, data: unknown) =>
    publishNeededCrls(context.publisher, await findIssuer(context, IssuerJob.parse(data).issuerId)),

  'ocsp.publish': async ({ authority, publisher }: JobContext, data: unknown) =>
    publishOcspAnswer(publisher, await authority.issuers.list(), SerialJob.parse(data).serial),

  'ocsp.refresh': async ({ authority, publisher }: JobContext) =>
    refreshOcspAnswers(publisher, await authority.issuers.list(), OCSP_REFRESH_LIMIT),

  'ocsp.delegates': renewDelegates,

  'intents.reconcile': async ({ authority }: JobContext) => ({
    ...(await reconcileIntents(authority)),
    issuers: await reconcileIssuers(authority),
  }),

  'group.follow': ({ authority }: JobContext, data: unknown) => followGroup(authority, GroupJob.parse(data).groupId),

  'name.follow': ({ authority }: JobContext, data: unknown) => followName(authority, NameJob.parse(data).holderId),

  'ra.follow': ({ authority }: JobContext, data: unknown) => followRa(authority, RaJob.parse(data).subject),

  'domains.recheck': ({ authority }: JobContext) => recheckDomains(authority),

  'approvals.expire': async ({ authority }: JobContext) => ({
    proposals: await expireProposals(authority),
    enrollments: await expirePendingEnrollments(authority),
  }),

  'keys.scan': ({ authority }: JobContext) => scanKeys(authority),

  'certificates.supersede': ({ authority }: JobContext) => revokeSuperseded(authority),

  'expiry.sweep': ({ authority }: JobContext) => recordExpirations(authority),

  'canary.run': async ({ canary }: JobContext) => canary?.run(),

  housekeeping: async ({ publisher }: JobContext) => ({
    partitions: await publisher.database.transaction(ensurePartitions),
    purged: await publisher.database.transaction((tx) => purgeTrail(tx, OUTBOX_KEPT_DAYS)),
    limits: await publisher.database.transaction(purgeLimits),
  }),

  'notices.dispatch': ({ notices }: JobContext) => notices.dispatch(),
  'notices.deliver': ({ notices }: JobContext) => notices.deliver(),
  'notices.mail': ({ notices }: JobContext) => notices.mail(),
  'notices.expiry': ({ notices }: JobContext) => notices.expiry(),
  'notices.purge': ({ notices }: JobContext) => notices.purge(),
} as const;

export type JobName = keyof typeof PROCESSORS;

export function isJobName(name: string): name is JobName {
  return Object.hasOwn(PROCESSORS, name);
}

/** Every issuer that vouches for one has a delegate with time left, and this process holds it. Returns how many were renewed. */
export async function renewDelegates({ authority, publisher, ocspKek }: JobContext): Promise<number> {
  const issuers = await authority.issuers.list();
  let renewed = 0;
  const now = authority.clock.now();
  for (const issuer of issuers.filter((one) => vouches(one, now))) {
    if (await renewOcspDelegate(authority, issuer, { ocspKek })) renewed++;
  }
  await publisher.delegates.refresh(publisher.database, issuers);
  return renewed;
}

async function findIssuer({ authority }: JobContext, id: string): Promise<Issuer> {
  const issuer = await authority.issuers.find(id);
  if (issuer === undefined) throw new AuthorityError('notFound', `there is no issuer ${id}`);
  return issuer;
}
