import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { context, trace } from '@opentelemetry/api';
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node';
import { AuthorityError } from './errors.js';
import { currentTraceparent, followSpan, inSpan, openSpan } from './trace.js';

describe('where nothing is traced', () => {
  test('work runs, and its results and errors come through; no span is open', async () => {
    expect(openSpan('request', {})).toBeUndefined();
    expect(await inSpan('statement', {}, async () => 1)).toBe(1);
    expect(await followSpan('job', {}, undefined, async () => currentTraceparent())).toBeUndefined();
    const error = new Error('x');
    await expect(inSpan('statement', {}, () => Promise.reject(error))).rejects.toBe(error);
    expect(currentTraceparent()).toBeUndefined();
  });
});

describe('where there is an SDK', () => {
  let exporter: InMemorySpanExporter;
  let provider: NodeTracerProvider;
  beforeEach(() => {
    exporter = new InMemorySpanExporter();
    provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
    provider.register();
  });
  afterEach(async () => {
    await provider.shutdown();
    trace.disable();
    context.disable();
  });

  const spans = () => exporter.getFinishedSpans();
  const named = (name: string) => spans().find((span) => span.name === name)!;

  test('what a request does belongs to it, across awaits', async () => {
    const request = openSpan('request', { a: 1 })!;
    await request.within(async () => {
      await Promise.resolve();
      await inSpan('statement', {}, async () => undefined);
    });
    request.end({ b: 2 });
    expect(named('statement').parentSpanContext?.spanId).toBe(named('request').spanContext().spanId);
    expect(named('request').attributes).toEqual({ a: 1, b: 2 });
  });

  test('a statement that nothing traced caused makes no span', async () => {
    await inSpan('statement', {}, async () => undefined);
    expect(spans()).toEqual([]);
  });

  test('a job follows the span that its traceparent names, in another process too', async () => {
    const request = openSpan('request', {})!;
    const sent = request.within(() => currentTraceparent());
    request.end({});
    expect(sent).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
    await followSpan('job', {}, sent, async () => inSpan('statement', {}, async () => undefined));
    expect(new Set(spans().map((span) => span.spanContext().traceId)).size).toBe(1);
    expect(named('job').parentSpanContext?.spanId).toBe(named('request').spanContext().spanId);
  });

  test.each([
    '',
    'x',
    '00-1-2-01',
    `00-${'0'.repeat(32)}-${'0'.repeat(16)}-01`,
    `00-${'g'.repeat(32)}-${'1'.repeat(16)}-01`,
  ])('a traceparent that is none begins a trace of its own: %p', async (text) => {
    await followSpan('job', {}, text, async () => undefined);
    expect(named('job').parentSpanContext).toBeUndefined();
  });

  test('of a failure the kind is told, never the text', async () => {
    const error = new AuthorityError('unavailable', 'canary-detail', { cause: new Error('canary-cause') });
    await expect(followSpan('job', {}, undefined, () => Promise.reject(error))).rejects.toBe(error);
    await expect(followSpan('other', {}, undefined, () => Promise.reject(new Error('canary')))).rejects.toThrow();
    expect(named('job').attributes).toEqual({ 'error.type': 'unavailable' });
    expect(named('other').attributes).toEqual({ 'error.type': 'internal' });
    expect(spans().flatMap((span) => span.events)).toEqual([]);
    expect(JSON.stringify(spans().map(({ attributes, status }) => [attributes, status]))).not.toContain('canary');
  });
});
