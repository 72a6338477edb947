import { context, trace } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, NodeTracerProvider } from '@opentelemetry/sdk-trace-node';
import { ATTR_SERVICE_NAME } from '@opentelemetry/semantic-conventions';
import type { Config } from '#kernel';
import type { Logger } from './log.js';

/**
 * Sends spans to `OTEL_EXPORTER_OTLP_ENDPOINT` (OTLP over HTTP, `/v1/traces` below it) in batches. Without an endpoint no
 * SDK is set up and the libs' spans are nothing. Returns what sends the rest and ends it, in 3 s at most: a collector
 * that is gone holds nobody up. One per process.
 */
export function startTracing(config: Config, log: Logger): () => Promise<void> {
  if (config.otlpEndpoint === undefined) return () => Promise.resolve();
  const exporter = new OTLPTraceExporter({
    url: `${config.otlpEndpoint.replace(/\/+$/, '')}/v1/traces`,
    timeoutMillis: 2000,
  });
  const provider = new NodeTracerProvider({
    resource: resourceFromAttributes({ [ATTR_SERVICE_NAME]: 'touchmark' }),
    spanProcessors: [new BatchSpanProcessor(exporter, { scheduledDelayMillis: 1000, exportTimeoutMillis: 2000 })],
  });
  provider.register();
  return async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, 3000);
    const flushed = provider.shutdown().catch((err: unknown) => log.warn({ err }, 'the last traces were not sent'));
    await Promise.race([flushed, promise]);
    clearTimeout(timer);
    trace.disable();
    context.disable();
  };
}
