import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { PlaneParts } from './plane-context.js';
import type { Listener } from './ports.js';
import type { ProcessMetrics } from './process-metrics.js';

/** Base URLs. */
export interface Urls {
  est: string;
  api: string;
  status: string;
}

/** One plane that runs: how it listens, if it does, and how it ends. */
export interface RunningPlane {
  /** Why it cannot do its work now; empty when it can. Absent: it has none to do. */
  readiness?: () => Promise<string[]>;
  /** What of its work it cannot do, while it does the rest: it stays in service. */
  degraded?: () => string[];
  app?: { listener: Exclude<Listener, 'metrics'>; nest: NestFastifyApplication };
  /** Told before any plane of the process is stopped. */
  expectStop?: () => void;
  /** Stopped when every other plane has: they still sign while they end. */
  last?: true;
  stop(): Promise<void>;
}

export interface PlaneOptions extends PlaneParts {
  metrics: ProcessMetrics;
  urls: Urls;
}
