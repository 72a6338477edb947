import { z } from 'zod';
import { gauge, type Gauge, type Registry } from '#kernel';
import { CHANNELS } from './canary/channels.js';
import type { DatabaseFigures, ReadFigures } from './database-figures.js';

type Set = (figures: ReadFigures) => void;
type Named = <L extends string>(name: string, help: string, labelNames: L[]) => Gauge<L>;

/**
 * Gauges of what stands in the database, set when they are asked for. Times are given as they are (seconds since 1970):
 * how much is left is the reader's subtraction, and stays right between two readings. `canarySince`: from when on the inner
 * canary was to run; undefined: it does not.
 */
export function exposeFigures(registry: Registry, figures: DatabaseFigures, canarySince: Date | undefined): void {
  let shown: ReadFigures | undefined;
  // Prometheus' client asks every metric at once: each waits for the same reading, the first one there sets them all.
  const collect = async (): Promise<void> => {
    const read = await figures.current();
    if (read === undefined || read === shown) return;
    shown = read;
    for (const set of setters) set(read);
  };
  const named: Named = (name, help, labelNames) =>
    gauge(registry, { name: `touchmark_${name}`, help, labelNames, collect });
  const canary = canarySince === undefined ? [] : canaryGauges(named, canarySince);
  const setters = [...workGauges(named), ...artifactGauges(named), ...trailGauges(named), ...canary];
  gauge(registry, {
    name: 'touchmark_figures_age_seconds',
    help: 'Seconds since the figures were last read from the database; -1 before the first time',
    async collect() {
      await collect();
      this.set(figures.ageSeconds ?? -1);
    },
  });
}

const seconds = (date: Date): number => date.getTime() / 1000;

function workGauges(named: Named): Set[] {
  const open = named('outbox_open_rows', 'Outbox rows not yet done, by topic', ['topic']);
  const oldest = named('outbox_oldest_seconds', 'Age of the oldest of them', ['topic']);
  const jobs = named('queue_jobs', 'Jobs in a queue by state', ['queue', 'state']);
  const intents = named('intents_open', 'Serial numbers taken whose certificate is not signed yet', []);
  const intentAge = named('intents_oldest_seconds', 'Age of the oldest of them', []);
  const approvals = named('approvals_pending', 'Proposals that wait for a second person', []);
  const badKeys = named('bad_key_certificates', 'Certificates that are good and whose key is not, by problem', [
    'problem',
  ]);
  const altered = named('blocked_key_lists_altered', 'Imported lists of blocked keys that are not what they were', []);
  const enrollments = named('enrollments_pending', 'First enrollments that wait for approval', []);
  const due = named('deliveries_due', 'Notices that should have been delivered by now', []);
  const dueAge = named('deliveries_oldest_seconds', 'For how long the oldest of them has been due', []);
  const failed = named('deliveries_failed', 'Notices of the last day that were given up', []);
  return [
    (read) => {
      for (const topic of ['crl.wanted', 'ocsp.wanted', 'group.wanted', 'name.wanted', 'ra.wanted']) {
        const row = read.outbox.find((one) => one.topic === topic);
        open.set({ topic }, row?.open ?? 0);
        oldest.set({ topic }, row?.oldestSeconds ?? 0);
      }
    },
    (read) => {
      for (const { queue, state, count } of read.jobs) jobs.set({ queue, state }, count);
    },
    (read) => {
      intents.set(read.intents.open);
      intentAge.set(read.intents.oldestSeconds);
      approvals.set(read.approvals);
      badKeys.set({ problem: 'blocked' }, read.badKeys.blocked);
      badKeys.set({ problem: 'weak' }, read.badKeys.weak);
      altered.set(read.badKeys.alteredLists);
      enrollments.set(read.enrollments);
      due.set(read.deliveries.due);
      dueAge.set(read.deliveries.oldestSeconds);
      failed.set(read.deliveries.failed);
    },
  ];
}

function artifactGauges(named: Named): Set[] {
  const crl = ['issuer', 'scope'];
  const thisUpdate = named('crl_this_update_timestamp_seconds', 'When the CRL was made', crl);
  const nextUpdate = named('crl_next_update_timestamp_seconds', 'Until when the CRL counts', crl);
  const delegate = named('ocsp_delegate_not_after_timestamp_seconds', 'End of the delegated OCSP signer', ['issuer']);
  const answer = named(
    'ocsp_oldest_answer_timestamp_seconds',
    'thisUpdate of the oldest published OCSP answer; now, where there is none',
    [],
  );
  const ca = named('ca_not_after_timestamp_seconds', 'End of the CA certificate', ['issuer', 'kind']);
  return [
    ({ published }) => {
      for (const { name, thisUpdate: from, nextUpdate: to } of published) {
        const [, issuer, scope = 'full'] = /^crl\/([^/.]+)(?:\/(\d+))?\.crl$/.exec(name) ?? [];
        if (issuer !== undefined) {
          thisUpdate.set({ issuer, scope }, seconds(from));
          if (to !== null) nextUpdate.set({ issuer, scope }, seconds(to));
        } else if (name.startsWith('ocsp-delegate/') && to !== null) {
          delegate.set({ issuer: name.slice('ocsp-delegate/'.length) }, seconds(to));
        }
      }
    },
    ({ oldestOcspAnswer, now }) => answer.set(seconds(oldestOcspAnswer ?? now)),
    ({ issuers }) => {
      for (const { id, kind, notAfter } of issuers) ca.set({ issuer: id, kind }, seconds(notAfter));
    },
  ];
}

function trailGauges(named: Named): Set[] {
  const seq = named('status_log_seq', 'Number of the last row of the status log', []);
  const events = named('audit_events', 'Number of the last audit event', []);
  const leaves = named('audit_tree_leaves', 'Size of the audit tree', []);
  const unsealed = named('audit_seal_lag_seconds', 'Age of the oldest audit event not yet sealed', []);
  const offset = named(
    'database_clock_offset_seconds',
    'How far the clock here is ahead of the database, network time included',
    [],
  );
  return [
    (read) => {
      seq.set(read.statusSeq);
      events.set(read.audit.events);
      leaves.set(read.audit.leaves);
      unsealed.set(read.audit.unsealedSeconds);
      offset.set(read.offsetSeconds);
    },
  ];
}

const CanaryDetail = z.object({ channel: z.string().optional(), milliseconds: z.record(z.string(), z.number()) });

function canaryGauges(named: Named, since: Date): Set[] {
  const took = named(
    'canary_channel_seconds',
    'How long the channel took in the last run that came so far; of a revocation, until it was seen there',
    ['channel'],
  );
  const failing = named('canary_channel_failing', '1 where the last run failed at this channel', ['channel']);
  const passedAt = named(
    'canary_last_pass_timestamp_seconds',
    'When the inner canary passed last; before the first time, when this process started',
    [],
  );
  return [
    ({ canary }) => {
      const last = CanaryDetail.safeParse(canary.detail).data;
      passedAt.set(seconds(canary.passedAt ?? since));
      for (const channel of CHANNELS) {
        const ms = last?.milliseconds[channel];
        if (ms !== undefined) took.set({ channel }, ms / 1000);
        failing.set({ channel }, last?.channel === channel ? 1 : 0);
      }
    },
  ];
}
