import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startTestInstance, type TestInstance } from '../harness/instance.js';

let instance: TestInstance;
let base: string;

beforeAll(async () => {
  instance = await startTestInstance({ TOUCHMARK_METRICS_PORT: '0', TOUCHMARK_CANARY_SECONDS: '0' });
  const { metrics } = JSON.parse(await readFile(path.join(instance.home, 'ports.json'), 'utf8')) as { metrics: number };
  base = `http://127.0.0.1:${metrics}`;
});
afterAll(() => instance.stop());

const ready = async () => {
  const reply = await fetch(`${base}/readyz`);
  return { code: reply.status, ...((await reply.json()) as { status: string; reasons: string[] }) };
};

async function until(what: string, holds: () => Promise<boolean>, limitMs = 40_000): Promise<void> {
  const limit = performance.now() + limitMs;
  while (!(await holds())) {
    if (performance.now() > limit) throw new Error(`not within ${limitMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

test('the metrics port tells health, readiness and figures, and nothing else', async () => {
  const health = await fetch(`${base}/healthz`);
  expect([health.status, await health.json()]).toEqual([200, { status: 'ok' }]);
  expect(await ready()).toEqual({ code: 200, status: 'ready', reasons: [] });
  expect((await fetch(`${base}/metrics`)).headers.get('content-type')).toMatch(/^text\/plain; version=/);
  for (const other of ['/', '/metrics/x', '/readyz?x=1', '/v1/keys']) {
    expect([other, (await fetch(`${base}${other}`)).status]).toEqual([other, 404]);
  }
  for (const method of ['POST', 'DELETE', 'PUT']) {
    expect((await fetch(`${base}/metrics`, { method })).status).toBe(404);
  }
});

test('without a database it is alive and not ready, each reason with the plane that gives it; the scrape still answers', async () => {
  const postmaster = Number((await readFile(path.join(instance.home, 'pg/postmaster.pid'), 'utf8')).split('\n')[0]);
  process.kill(postmaster, 'SIGKILL');
  await until('every plane that needs the database says so', async () => {
    const { code, reasons } = await ready();
    return (
      code === 503 && ['api', 'est', 'worker'].every((plane) => reasons.some((one) => one.startsWith(`${plane}: `)))
    );
  });
  expect((await fetch(`${base}/healthz`)).status).toBe(200);
  const begin = performance.now();
  const scraped = await (await fetch(`${base}/metrics`)).text();
  expect(performance.now() - begin).toBeLessThan(5000);
  expect(scraped).toMatch(/^touchmark_figures_age_seconds \S+$/m);
  // Embedded Postgres that died is started again.
  await until('ready again', async () => (await ready()).code === 200);
}, 90_000);
