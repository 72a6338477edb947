import { Controller, Get, Inject, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';

export const READINESS = Symbol('readiness');

/** Whether the plane lives, and whether it can do its work. */
@Controller()
export class HealthRoutes {
  /** `readiness` gives the reasons against it; none when it is ready. */
  constructor(@Inject(READINESS) private readonly readiness: () => Promise<string[]>) {}

  @Get('healthz')
  health() {
    return { status: 'ok' };
  }

  @Get('readyz')
  async ready(@Res({ passthrough: true }) reply: FastifyReply) {
    const reasons = await this.readiness();
    if (reasons.length === 0) return { status: 'ready', reasons };
    void reply.code(503).header('retry-after', '2');
    return { status: 'notReady', reasons };
  }
}
