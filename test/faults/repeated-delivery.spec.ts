import { createHash, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { PROCESSORS, type JobContext, type JobName } from '../../apps/worker/src/jobs.js';
import { NoticeJobs } from '../../apps/worker/src/notice-jobs.js';
import { addSeconds } from '#kernel';
import { readCrl, readOcspResponse } from '#pki';
import { crlName, OcspDelegates } from '#publication';
import { findArtifact, findOcspAnswer } from '#store';
import { startInstance, type PublishingInstance } from '../publication/instance.js';

let instance: PublishingInstance;
let context: JobContext;
beforeAll(async () => {
  instance = await startInstance({ shards: 2 });
  const { publisher, authority, ocspKek } = instance;
  const delegates = new OcspDelegates(ocspKek, () => undefined);
  await delegates.refresh(instance.databases.worker, await authority.issuers.list());
  context = { authority, publisher: { ...publisher, delegates }, ocspKek, notices: new NoticeJobs(authority) };
});
afterAll(() => instance.close());

/** Suspended, with nobody in it. */
const GROUP = randomUUID();

interface Delivery {
  name: JobName;
  data: Record<string, string>;
}

/** Every job that there is, about everything that there is to do. */
function deliveries(serials: readonly string[]): Delivery[] {
  const issuers = [instance.root, instance.issuing].map(({ id }) => ({ issuerId: id }));
  return (Object.keys(PROCESSORS) as JobName[]).flatMap((name): Delivery[] => {
    if (name === 'crl.publish') return issuers.map((data) => ({ name, data }));
    if (name === 'group.follow') return [{ name, data: { groupId: GROUP } }];
    if (name === 'name.follow') return [{ name, data: { holderId: GROUP } }];
    if (name === 'ra.follow') return [{ name, data: { subject: GROUP } }];
    if (name === 'ocsp.publish') return serials.map((serial) => ({ name, data: { serial } }));
    return [{ name, data: {} }];
  });
}

/** Three of each, in an order that is the same each time, four at once. */
async function deliverThrice(jobs: readonly Delivery[], seed: string): Promise<void> {
  const place = (job: Delivery, n: number) =>
    createHash('sha256')
      .update(`${seed} ${n} ${JSON.stringify(job)}`)
      .digest('hex');
  const queue = [0, 1, 2]
    .flatMap((n) => jobs.map((job) => ({ job, at: place(job, n) })))
    .sort((a, b) => (a.at < b.at ? -1 : 1))
    .map(({ job }) => job);
  const runner = async () => {
    for (let job = queue.shift(); job !== undefined; job = queue.shift()) await PROCESSORS[job.name](context, job.data);
  };
  await Promise.all([0, 1, 2, 3].map(runner));
}

/** Everything that jobs write, as a digest by table. */
async function state(): Promise<Record<string, string>> {
  const tables = ['artifacts', 'ocsp_answers', 'crl_scopes', 'serials', 'certificates', 'status_changes', 'audit'];
  const digests: Record<string, string> = {};
  for (const table of [...tables, 'expirations', 'outbox']) {
    const [row] = await instance.owner.rows<{ text: string | null }>(
      `select string_agg(t::text, E'\\n' order by t::text) as text from ${table} t`,
    );
    digests[table] = createHash('sha256')
      .update(row?.text ?? '')
      .digest('hex');
  }
  return digests;
}

test('every job delivered three times, in any order and several at once, comes to the same as once', async () => {
  const now = instance.clock.now();
  const serials = await Promise.all(Array.from({ length: 20 }, () => instance.issue()));
  const revoked = serials.slice(0, 12);
  for (const serial of revoked) await instance.change(serial, 'revoked', 'superseded');
  await instance.issue({ notAfter: addSeconds(now, -60) });
  const jobs = deliveries(serials);
  expect(jobs.length).toBeGreaterThan(20);

  await deliverThrice(jobs, 'first');
  for (const [n, serial] of serials.entries()) {
    const answer = await instance.owner.transaction((tx) => findOcspAnswer(tx, Buffer.from(serial, 'hex'), 'sha256'));
    expect(answer && readOcspResponse(answer.der).responses[0]?.status.status).toBe(n < 12 ? 'revoked' : 'good');
  }
  const crl = await instance.owner.transaction((tx) => findArtifact(tx, crlName(instance.issuing.id, 'full')));
  expect(revoked.filter((serial) => readCrl(crl!.bytes).find(serial) === undefined)).toEqual([]);
  const [open] = await instance.owner.rows<{ n: number }>(
    'select count(*)::int as n from outbox where done_at is null',
  );
  expect(open?.n).toBe(0);

  const before = await state();
  for (const seed of ['second', 'third']) {
    await deliverThrice(jobs, seed);
    expect(await state()).toEqual(before);
  }
}, 120_000);
