import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import path from 'node:path';
import { ManualClock, systemClock } from '#kernel';
import { startTestInstance, type TestInstance } from '../../../../test/harness/instance.js';
import { connectApi } from '../client.js';
import { NodeExaminer } from './examine-with-node.js';
import type { Examiner } from './examiner.js';
import { Narrator, type Telling } from './narrator.js';
import { playLife } from './play-life.js';
import type { Workbench } from './workbench.js';

/** Runs steps without a word and keeps what they verified. */
function silently(): { step: Narrator['step']; titles: string[]; checks: string[] } {
  const titles: string[] = [];
  const checks: string[] = [];
  const telling: Telling = { fact: () => undefined, verified: (what) => void checks.push(what) };
  return {
    titles,
    checks,
    step: (title, work) => {
      titles.push(title);
      return work(telling);
    },
  };
}

describe('the demo', () => {
  let instance: TestInstance;

  beforeAll(async () => {
    instance = await startTestInstance();
  });
  afterAll(() => instance?.stop());

  async function workbench(examiner: Examiner = new NodeExaminer()): Promise<Workbench> {
    const { urls, home, rootPem: root } = instance;
    const where = { url: urls.api, tokenFile: path.join(home, 'operator.token'), ca: path.join(home, 'root-ca.pem') };
    return { urls, root, api: await connectApi(where, () => home), examiner, clock: systemClock };
  }

  test('plays the whole life where there is no openssl, every step with a check', async () => {
    const { step, titles, checks } = silently();
    await playLife(await workbench(), { step });
    expect(titles).toHaveLength(16);
    expect(checks.length).toBeGreaterThanOrEqual(titles.length);
  });

  test.each<[string, Partial<Examiner>, string]>([
    ['a path that does not verify', { verifyPath: () => Promise.reject(new Error('no path')) }, 'EST simpleenroll'],
    [
      'OCSP that goes on saying good',
      { askOcsp: () => Promise.resolve({ status: 'good', detail: '' }) },
      'Revoke the certificate',
    ],
    ['a CRL that never lists', { verifyWithCrls: () => Promise.resolve({ status: 'good', detail: '' }) }, 'CRL'],
    ['a server that says nothing', { visit: () => Promise.resolve('') }, 'provider'],
  ])('stops at %s', async (_, broken, title) => {
    const examiner = Object.assign(new NodeExaminer(), broken);
    const { step, titles } = silently();
    // A visit that never reaches the server would wait for it: it is made and its outcome thrown away.
    if (broken.visit) examiner.visit = async (...visit) => (await new NodeExaminer().visit(...visit), '');
    await expect(playLife(await workbench(examiner), { step })).rejects.toThrow();
    expect(titles.at(-1)).toContain(title);
  });

  test('a step that verifies nothing fails', async () => {
    const narrator = new Narrator(new ManualClock(new Date('2026-01-01T00:00:00Z')), true);
    await expect(narrator.step('empty', () => Promise.resolve())).rejects.toThrow('verified nothing');
  });
});
