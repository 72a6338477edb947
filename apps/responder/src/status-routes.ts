import type { Server } from 'node:http';
import { Inject, Injectable, type OnModuleInit, type OnModuleDestroy } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { MAX_LOG_AGE_MS } from '#publication';
import type { ResponderDeps } from './deps.js';
import { answerDirectly } from './ocsp-direct.js';
import { registerOcsp } from './ocsp-routes.js';
import { OcspResponder } from './ocsp-responder.js';
import { cacheable, textReply, uncacheable, write, type Reply } from './reply.js';
import { serve } from './routes.js';
import { ServedState } from './served-state.js';

export const RESPONDER_DEPS = Symbol('responder dependencies');

const NOT_FOUND = textReply('there is nothing under this path; see /.well-known/touchmark');
const UNADVISED = textReply('there is no advice just now; try again', ['Retry-After', '30']);
const RENEWAL_PATH = '/.well-known/touchmark/renewal/';
/** Lower-case hex, as it stands in certificates: one name for one answer. */
const SERIAL = /^(?:[0-9a-f]{2}){1,20}$/;
const ADVICE_SECONDS = 3600;
const EXPIRED = textReply('the CRL is past its nextUpdate and no newer one was published yet; try again', [
  'Retry-After',
  '30',
]);

/** The routes of the status plane, on Fastify itself: their answers are finished bytes. */
@Injectable()
export class StatusRoutes implements OnModuleInit, OnModuleDestroy {
  private readonly state: ServedState;

  constructor(
    @Inject(RESPONDER_DEPS) private readonly deps: ResponderDeps,
    private readonly adapterHost: HttpAdapterHost,
  ) {
    this.state = new ServedState(deps);
  }

  async onModuleInit(): Promise<void> {
    await this.state.start();
    const fastify = this.adapterHost.httpAdapter.getInstance<FastifyInstance>();
    const ocsp = new OcspResponder(this.deps, this.state);
    registerOcsp(fastify, ocsp);
    answerDirectly(fastify.server as Server, ocsp);
    serve(fastify, '/crl/:file', { GET: this.byPath((path) => this.crl(path.slice(1))) });
    serve(fastify, '/crl/:issuerId/:file', { GET: this.byPath((path) => this.crl(path.slice(1))) });
    serve(fastify, '/ca/:file', {
      GET: this.byPath((path) => this.found(this.state.certificate(path.slice('/ca/'.length)))),
    });
    serve(fastify, '/.well-known/touchmark', { GET: this.byPath(() => this.json(200, this.describe())) });
    serve(fastify, `${RENEWAL_PATH}:serial`, { GET: (request, reply) => void this.renewal(request, reply) });
    serve(fastify, '/healthz', { GET: this.byPath(() => this.json(200, { status: 'ok' })) });
    serve(fastify, '/readyz', { GET: this.byPath(() => this.readiness()) });
  }

  async onModuleDestroy(): Promise<void> {
    await this.state.stop();
  }

  private byPath(answer: (path: string) => { status: number; reply: Reply }) {
    return (request: FastifyRequest, reply: FastifyReply): void => {
      reply.hijack();
      const [path = ''] = (request.raw.url ?? '').split('?', 1);
      const { status, reply: ready } = answer(path);
      write(request.raw, reply.raw, status, ready);
    };
  }

  /** Asked by whoever holds a certificate; an answer may be kept for an hour, which is what "now" takes to arrive. */
  private async renewal(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    reply.hijack();
    const [path = ''] = (request.raw.url ?? '').split('?', 1);
    const serial = path.slice(RENEWAL_PATH.length);
    const { status, reply: ready } = await this.advise(serial).catch((error: unknown) => {
      this.deps.log.warn({ err: error }, 'no renewal advice just now');
      return { status: 503, reply: UNADVISED };
    });
    write(request.raw, reply.raw, status, ready);
  }

  private async advise(serial: string): Promise<{ status: number; reply: Reply }> {
    const { clock, follower } = this.deps;
    const window = SERIAL.test(serial) ? await this.deps.renewal?.(serial) : undefined;
    if (window === undefined) return { status: 404, reply: NOT_FOUND };
    const { start, end, now } = window;
    const suggestedWindow = { start: start.toISOString(), end: end.toISOString() };
    const body = Buffer.from(JSON.stringify({ suggestedWindow, now }));
    const caching = { maxAge: ADVICE_SECONDS, lastModified: clock.now(), expires: undefined, seq: follower.index.seq };
    return { status: 200, reply: cacheable('application/json; charset=utf-8', body, caching) };
  }

  private crl(name: string): { status: number; reply: Reply } {
    const served = this.state.crl(name);
    return served === 'expired' ? { status: 503, reply: EXPIRED } : this.found(served);
  }

  private found(reply: Reply | undefined): { status: number; reply: Reply } {
    return reply === undefined ? { status: 404, reply: NOT_FOUND } : { status: 200, reply };
  }

  private json(status: number, value: object): { status: number; reply: Reply } {
    return { status, reply: uncacheable('application/json; charset=utf-8', Buffer.from(JSON.stringify(value))) };
  }

  /** Why status cannot be told now; empty when it can. */
  problems(): string[] {
    const { follower } = this.deps;
    const reasons = this.state.problems();
    if (follower.broken !== undefined) reasons.push(`the status log is not believed: ${follower.broken.message}`);
    else if (follower.ageMs > MAX_LOG_AGE_MS) reasons.push('the status log was not followed for a minute');
    return reasons;
  }

  private readiness(): { status: number; reply: Reply } {
    const reasons = this.problems();
    return this.json(reasons.length === 0 ? 200 : 503, {
      status: reasons.length === 0 ? 'ready' : 'notReady',
      reasons,
    });
  }

  private linkBase(id: string | null): string {
    return this.state.issuers.find((issuer) => issuer.id === id)?.statusUrl ?? '';
  }

  private describe(): object {
    const issuers = this.state.issuers.map(({ id, kind, statusUrl, shards }) => ({
      id,
      kind,
      certificate: `${statusUrl}/ca/${id}.cer`,
      crl: `${statusUrl}/crl/${id}.crl`,
      shards:
        kind === 'root' ? [] : Array.from({ length: shards }, (_, shard) => `${statusUrl}/crl/${id}/${shard}.crl`),
      ocsp: `${statusUrl}/ocsp`,
    }));
    const links = this.state.links.map(({ id, form, subjectIssuerId, issuerId }) => ({
      ...{ id, form, subjectIssuerId, issuerId },
      certificate: `${this.linkBase(issuerId ?? subjectIssuerId)}/ca/${id}.cer`,
    }));
    return { issuers, links, statusSeq: this.deps.follower.index.seq, ...this.deps.discovery?.() };
  }
}
