import {
  context,
  isSpanContextValid,
  SpanKind,
  SpanStatusCode,
  trace,
  TraceFlags,
  type Context,
  type Span,
} from '@opentelemetry/api';
import { isAuthorityError } from './errors.js';

/** What a span may say. Names, ids and counts; never a value that came from a client, never a secret. */
export type SpanFacts = Readonly<Record<string, string | number | boolean>>;

/** A span that begins and ends in different places, as an HTTP request does. */
export interface OpenSpan {
  /** What `work` starts belongs to this span. */
  within<T>(work: () => T): T;
  end(facts: SpanFacts, failure?: string): void;
}

const tracer = () => trace.getTracer('touchmark');

/** The first span of a trace: a request that came from outside. Where nothing is traced, it costs nothing and says so. */
export function openSpan(name: string, facts: SpanFacts): OpenSpan | undefined {
  const span = tracer().startSpan(name, { kind: SpanKind.SERVER, attributes: { ...facts }, root: true });
  if (!span.isRecording()) return undefined;
  const inside = trace.setSpan(context.active(), span);
  return {
    within: (work) => context.with(inside, work),
    end: (more, failure) => {
      span.setAttributes({ ...more });
      if (failure !== undefined) markFailed(span, failure);
      span.end();
    },
  };
}

/** `work` as a part of the span under way; where there is none, only the work. */
export function inSpan<T>(name: string, facts: SpanFacts, work: () => Promise<T>): Promise<T> {
  if (trace.getActiveSpan() === undefined) return work();
  return record(name, SpanKind.CLIENT, facts, context.active(), work);
}

/** `work` as what follows from the span that `traceparent` names; undefined: the first span of a trace of its own. */
export function followSpan<T>(
  name: string,
  facts: SpanFacts,
  traceparent: string | undefined,
  work: () => Promise<T>,
): Promise<T> {
  const parent = traceparent === undefined ? undefined : contextOf(traceparent);
  return record(name, SpanKind.CONSUMER, facts, parent ?? trace.deleteSpan(context.active()), work);
}

/** The span under way as W3C Trace Context writes it (`traceparent`, version 00); undefined where nothing is traced. */
export function currentTraceparent(): string | undefined {
  const span = trace.getActiveSpan()?.spanContext();
  if (span === undefined || !isSpanContextValid(span)) return undefined;
  const sampled = (span.traceFlags & TraceFlags.SAMPLED) !== 0;
  return `00-${span.traceId}-${span.spanId}-${sampled ? '01' : '00'}`;
}

function contextOf(traceparent: string): Context | undefined {
  const [, traceId, spanId, flags] = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/.exec(traceparent) ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined;
  const traceFlags = Number.parseInt(flags, 16) & TraceFlags.SAMPLED;
  return trace.setSpanContext(context.active(), { traceId, spanId, traceFlags, isRemote: true });
}

function record<T>(
  name: string,
  kind: SpanKind,
  facts: SpanFacts,
  parent: Context,
  work: () => Promise<T>,
): Promise<T> {
  return tracer().startActiveSpan(name, { kind, attributes: { ...facts } }, parent, async (span) => {
    try {
      return await work();
    } catch (error) {
      markFailed(span, isAuthorityError(error) ? error.code : 'internal');
      throw error;
    } finally {
      span.end();
    }
  });
}

/** The kind alone: what an error says may name what nobody outside is to read. */
function markFailed(span: Span, failure: string): void {
  span.setAttribute('error.type', failure);
  span.setStatus({ code: SpanStatusCode.ERROR });
}
