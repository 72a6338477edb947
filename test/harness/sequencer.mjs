import { createRequire } from 'node:module';
import path from 'node:path';

// Of the version that Jest itself brings.
const require = createRequire(createRequire(import.meta.url).resolve('jest/package.json'));
const { default: Sequencer } = require('@jest/test-sequencer');

/** Seconds that a file takes which mostly waits. What is missing or wrong here only makes the run longer. */
const WAITING = {
  'test/watch/canary': 43,
  'test/instance/serve': 35,
  'test/faults/postgres-restart': 29,
  'test/watch/health': 24,
  'test/audit/witness': 24,
  'test/store/deadlines': 21,
  'test/faults/worker-kill': 22,
  'test/crash/kill-during-enrollment': 21,
  'test/responder/slow-clients': 18,
  'apps/touchmark/src/program': 16,
  'test/publication/worker': 14,
  'test/faults/queue-loss': 13,
  'apps/touchmark/src/embedded-postgres': 13,
  'test/api/surface': 11,
  'test/est/surface': 11,
  'test/audit/instance': 10,
  'test/instance/ca-operations': 9,
  'test/watch/figures': 9,
  'test/notices/deliver-webhooks': 9,
  'test/api/sign-in-oidc': 8,
  'test/watch/canary-alone': 7,
  'test/faults/graceful-stop': 7,
};

/**
 * A clean checkout has no times of an earlier run. Then the longest must not come last, nor all that wait at once: the
 * others have the processors in the meantime.
 */
export default class MixedSequencer extends Sequencer {
  sort(tests) {
    const name = (test) => path.relative(test.context.config.rootDir, test.path).replace(/\.spec\.ts$/, '');
    const seconds = (test) => WAITING[name(test)] ?? 0;
    const waiting = tests.filter((test) => seconds(test) > 0).sort((a, b) => seconds(b) - seconds(a));
    const others = super.sort(tests.filter((test) => seconds(test) === 0));
    const toWait = waiting.reduce((sum, test) => sum + seconds(test), 0);
    const toWork = others.length;
    const mixed = [];
    let waited = 0;
    while (waiting.length + others.length > 0) {
      const worked = toWork - others.length;
      const waits = others.length === 0 || (waiting.length > 0 && waited * toWork <= worked * toWait);
      const next = waits ? waiting.shift() : others.shift();
      if (waits) waited += seconds(next);
      mixed.push(next);
    }
    return mixed;
  }
}
