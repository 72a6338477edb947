import { z } from 'zod';
import { followSpan, histogram, isAuthorityError, type Histogram, type Registry } from '#kernel';
import { PROCESSORS, type JobContext, type JobName } from './jobs.js';

const Traced = z.looseObject({ traceparent: z.string().optional() });

/** Runs a job by its name; times it, counts how it ended, and makes it part of the trace that wanted it. */
export class JobRunner {
  private readonly seconds: Histogram<'job' | 'outcome'>;

  constructor(
    private readonly context: JobContext,
    registry: Registry,
  ) {
    this.seconds = histogram(registry, {
      name: 'touchmark_job_seconds',
      help: 'Duration of jobs by name and outcome: ok, or the kind of error',
      labelNames: ['job', 'outcome'],
      buckets: [0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60],
    });
  }

  async run(job: JobName, data: unknown): Promise<unknown> {
    const { traceparent, ...rest } = Traced.parse(data);
    const { clock } = this.context.publisher;
    const begin = clock.monotonicMs();
    let outcome = 'ok';
    try {
      const facts = { 'touchmark.plane': 'worker', 'touchmark.job': job };
      return await followSpan(`job ${job}`, facts, traceparent, async () => PROCESSORS[job](this.context, rest));
    } catch (error) {
      outcome = isAuthorityError(error) ? error.kind : 'internal';
      throw error;
    } finally {
      this.seconds.observe({ job, outcome }, (clock.monotonicMs() - begin) / 1000);
    }
  }
}
