import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import { startTestInstance } from '../harness/instance.js';
import { ROOT } from '../architecture/layers.js';
import { describeWith, run, succeed } from './program.js';

const deploy = (file: string): string => path.join(ROOT, 'deploy/prometheus', file);

describeWith(['promtool'], 'Prometheus', () => {
  test('takes the alert rules and the example configuration', async () => {
    expect(await succeed('promtool', ['check', 'rules', deploy('alerts.yml')])).toMatch(/SUCCESS: \d\d rules found/);
    expect(await succeed('promtool', ['check', 'config', deploy('prometheus.yml')])).toMatch(/SUCCESS/);
  });

  test('fires each alert when it should, and none on a healthy instance', async () => {
    expect(await succeed('promtool', ['test', 'rules', deploy('alerts.test.yml')])).toMatch(/SUCCESS/);
  });

  test('reads what an instance tells, and finds nothing wrong with its form', async () => {
    const instance = await startTestInstance({ TOUCHMARK_METRICS_PORT: '0' });
    try {
      const { metrics } = JSON.parse(await readFile(path.join(instance.home, 'ports.json'), 'utf8')) as {
        metrics: number;
      };
      const text = await (await fetch(`http://127.0.0.1:${metrics}/metrics`)).text();
      const { all } = await run('promtool', ['check', 'metrics'], { input: text });
      // What Node's own metrics are called is not ours to choose.
      expect(all.split('\n').filter((line) => line.includes('touchmark_'))).toEqual([]);
    } finally {
      await instance.stop();
    }
  });
});
