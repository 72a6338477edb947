import { Controller, Get, Inject, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';

export const READINESS = Symbol('readiness');

/** What the plane says of itself. */
export interface Readiness {
  /** Why it is not ready; none when it is. */
  readiness: () => Promise<string[]>;
  /** What it cannot do while it does the rest. */
  degraded: () => string[];
}

/** Whether the plane lives, and whether it can do its work. */
@Controller()
export class HealthRoutes {
  constructor(@Inject(READINESS) private readonly plane: Readiness) {}

  @Get('healthz')
  health() {
    return { status: 'ok' };
  }

  @Get('readyz')
  async ready(@Res({ passthrough: true }) reply: FastifyReply) {
    const reasons = await this.plane.readiness();
    if (reasons.length === 0) {
      // Whoever spreads requests leaves it in service: what needs no signature is answered.
      const lacks = this.plane.degraded();
      return { status: lacks.length === 0 ? 'ready' : 'degraded', reasons: lacks };
    }
    void reply.code(503).header('retry-after', '2');
    return { status: 'notReady', reasons };
  }
}
