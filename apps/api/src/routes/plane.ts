import { Controller, Get, HttpCode, Inject } from '@nestjs/common';
import { ApiOperation, ApiProduces, ApiResponse } from '@nestjs/swagger';
import type { Registry } from 'prom-client';
import { Access } from '../access.js';
import { Http, type Exchange } from '../authority-module.js';

export const PLANE = Symbol('plane');

/** What the plane tells of itself. */
export interface Plane {
  registry: Registry;
  /** Why it is not ready; empty when it is. */
  readiness: () => Promise<string[]>;
  /** What it cannot do while it does the rest. */
  degraded: () => string[];
}

/** Whether the plane lives, whether it can do its work, and its figures. */
@Controller()
export class PlaneRoutes {
  constructor(@Inject(PLANE) private readonly plane: Plane) {}

  @Get('healthz')
  @Access('public', { hot: true })
  @HttpCode(200)
  @ApiOperation({ summary: 'Whether the process answers' })
  @ApiResponse({ status: 200, description: 'it does' })
  health() {
    return { status: 'ok' };
  }

  @Get('readyz')
  @Access('public', { hot: true })
  @ApiOperation({ summary: 'Whether the plane can do its work' })
  @ApiResponse({ status: 200, description: 'ready, or degraded with reasons: what needs no signature is answered' })
  @ApiResponse({ status: 503, description: 'not ready, with reasons' })
  async ready(@Http() { reply }: Exchange) {
    const reasons = await this.plane.readiness();
    if (reasons.length === 0) {
      // Whoever spreads requests leaves it in service: what needs no signature is answered.
      const lacks = this.plane.degraded();
      return { status: lacks.length === 0 ? 'ready' : 'degraded', reasons: lacks };
    }
    void reply.code(503).header('retry-after', '2');
    return { status: 'notReady', reasons };
  }

  @Get('metrics')
  @Access('metrics:read', { hot: true })
  @ApiProduces('text/plain')
  @ApiOperation({ summary: 'Prometheus metrics' })
  @ApiResponse({ status: 200, description: 'text exposition format' })
  async metrics(@Http() { reply }: Exchange) {
    void reply.header('content-type', this.plane.registry.contentType);
    return this.plane.registry.metrics();
  }
}
