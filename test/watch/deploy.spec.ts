import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import path from 'node:path';
import { startTestInstance, type TestInstance } from '../harness/instance.js';
import { ROOT } from '../architecture/layers.js';

/** Of the query language, not of ours; `up` is Prometheus' own. */
const WORDS = new Set(['and', 'or', 'unless', 'bool', 'offset', 'on', 'ignoring', 'group_left', 'group_right', 'up']);

/** Names of metrics in a PromQL expression: what is left without strings, labels, ranges, groupings and functions. */
export function metricsIn(expression: string): string[] {
  const bare = expression
    .replace(/"(?:[^"\\]|\\.)*"/g, '""')
    .replace(/\{[^}]*\}/g, ' ')
    .replace(/\[[^\]]*\]/g, ' ')
    .replace(/\b(by|without|on|ignoring)\s*\([^)]*\)/g, ' ');
  const names = [...bare.matchAll(/[a-zA-Z_:][a-zA-Z0-9_:]*(?!\w*\s*\()/g)].map(([name]) => name);
  return [...new Set(names.filter((name) => !WORDS.has(name) && !new RegExp(`\\b${name}\\s*\\(`).test(bare)))];
}

const text = (file: string): string => readFileSync(path.join(ROOT, file), 'utf8');

interface Panel {
  id: number;
  title: string;
  gridPos: { x: number; y: number; w: number; h: number };
  targets?: { expr: string; datasource: { uid: string } }[];
}

const dashboard = JSON.parse(text('deploy/grafana/touchmark.json')) as {
  schemaVersion: number;
  panels: Panel[];
  templating: { list: { name: string; type: string }[] };
};
const alerts = text('deploy/prometheus/alerts.yml');
const alertNames = [...alerts.matchAll(/- alert: (\w+)/g)].map((match) => match[1]!);
const alertExpressions = [...alerts.matchAll(/^ +expr: (?:'(.*)'|(.*))$/gm)].map((match) => match[1] ?? match[2]!);
const dashboardExpressions = dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));

test('the parser of these tests finds metrics, and nothing else', () => {
  expect(
    metricsIn(
      'histogram_quantile(0.99, sum by (le, job) (rate(a_seconds_bucket{x="b(c)"}[5m]))) - time() > bool d_total',
    ),
  ).toEqual(['a_seconds_bucket', 'd_total']);
  expect(metricsIn('1 - up{job="x"} / max(e) and on (plane) f unless g')).toEqual(['e', 'f', 'g']);
});

describe('what is scraped from a running instance', () => {
  let instance: TestInstance;
  let scraped: string;
  let types: Set<string>;

  beforeAll(async () => {
    instance = await startTestInstance({ TOUCHMARK_METRICS_PORT: '0' });
    const { metrics } = JSON.parse(readFileSync(path.join(instance.home, 'ports.json'), 'utf8')) as { metrics: number };
    scraped = await (await fetch(`http://127.0.0.1:${metrics}/metrics`)).text();
    types = new Set([...scraped.matchAll(/^# TYPE (\S+)/gm)].map((match) => match[1]!));
  });
  afterAll(() => instance.stop());

  const isScraped = (name: string): boolean => types.has(name) || types.has(name.replace(/_(bucket|count|sum)$/, ''));

  test('holds every metric that an alert asks for', () => {
    expect(alertExpressions.length).toBe(alertNames.length);
    expect(alertNames.length).toBeGreaterThan(20);
    expect(alertExpressions.filter((one) => metricsIn(one).length === 0 && !one.startsWith('up{'))).toEqual([]);
    expect(alertExpressions.flatMap(metricsIn).filter((name) => !isScraped(name))).toEqual([]);
  });

  test('holds every metric that the dashboard shows', () => {
    expect(dashboardExpressions.length).toBeGreaterThan(30);
    expect(dashboardExpressions.flatMap(metricsIn).filter((name) => !isScraped(name))).toEqual([]);
  });

  test('holds every metric that the worker and the process tell in README and no other, and each is shown or alarmed on', () => {
    const documented = [...text('deploy/README.md').matchAll(/^\| `(touchmark_\w+)/gm)].map((match) => match[1]!);
    const ours = [...types].filter((name) => name.startsWith('touchmark_'));
    expect(documented.sort()).toEqual(ours.sort());
    const used = new Set([...alertExpressions, ...dashboardExpressions].flatMap(metricsIn));
    const unused = ours.filter(
      (name) => !used.has(name) && !['bucket', 'count'].some((end) => used.has(`${name}_${end}`)),
    );
    expect(unused).toEqual(['touchmark_canary_runs_total']);
  });

  test('says something at once of what does not wait for events', () => {
    const values = new Map(
      [...scraped.matchAll(/^(touchmark_\w+(?:\{[^}]*\})?) (\S+)$/gm)].map((match) => [match[1]!, Number(match[2])]),
    );
    const all = (name: string) => [...values].filter(([series]) => series.startsWith(`${name}{`));
    expect(all('touchmark_crl_next_update_timestamp_seconds')).toHaveLength(3);
    expect(all('touchmark_ca_not_after_timestamp_seconds')).toHaveLength(2);
    expect(all('touchmark_ocsp_delegate_not_after_timestamp_seconds')).toHaveLength(2);
    expect(all('touchmark_tls_not_after_timestamp_seconds')).toHaveLength(2);
    expect(all('touchmark_follower_age_seconds')).toHaveLength(4);
    for (const [, end] of all('touchmark_tls_not_after_timestamp_seconds')) {
      expect(end).toBeGreaterThan(instance.config.lifetimes.serverCertificate + 1.7e9);
    }
    expect(Math.abs(values.get('touchmark_database_clock_offset_seconds')!)).toBeLessThan(2);
    expect(values.get('touchmark_figures_age_seconds')).toBeLessThan(10);
    expect(values.get('touchmark_audit_events')).toBeGreaterThan(0);
  });
});

describe('what stands in deploy/', () => {
  test('every alert has duration, severity, texts and a row in the table of docs/OPERATIONS.md, where its link leads', () => {
    const operations = text('docs/OPERATIONS.md');
    expect(operations).toMatch(/^### Alerts$/m);
    const rows = [...operations.matchAll(/^\| `(Touchmark\w+)` +\| (\w+) /gm)].map((match) => [match[1]!, match[2]!]);
    const rules = alerts.split(/- alert: /).slice(1);
    expect(rows.map(([name]) => name).sort()).toEqual([...alertNames].sort());
    for (const rule of rules) {
      const [name] = rule.split('\n', 1);
      expect(rule).toMatch(/for: \d+[smh]/);
      expect(rule).toMatch(/summary: '?\S/);
      expect(rule).toMatch(/description:\s+\S/);
      expect(rule).toMatch(/runbook_url: docs\/OPERATIONS\.md#alerts/);
      const severity = /severity: (critical|warning|info)$/m.exec(rule)?.[1];
      expect(rows).toContainEqual([name, severity]);
    }
  });

  test('every alert is tried by a test of its own', () => {
    const tried = text('deploy/prometheus/alerts.test.yml');
    expect(alertNames.filter((name) => !tried.includes(`alertname="${name}"`))).toEqual([]);
  });

  test('the dashboard asks the data source that is chosen, and no two panels lie on each other', () => {
    const { panels, schemaVersion, templating } = dashboard;
    expect(schemaVersion).toBeGreaterThanOrEqual(39);
    expect(templating.list).toContainEqual(expect.objectContaining({ name: 'datasource', type: 'datasource' }));
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    for (const { targets = [] } of panels) for (const one of targets) expect(one.datasource.uid).toBe('${datasource}');
    const overlap = ({ gridPos: a }: Panel, { gridPos: b }: Panel): boolean =>
      a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
    const laid = panels.flatMap((one, index) => panels.slice(index + 1).filter((other) => overlap(one, other)));
    expect(laid).toEqual([]);
    expect(panels.filter(({ gridPos: { x, w } }) => x + w > 24)).toEqual([]);
  });
});
