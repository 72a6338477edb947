import { describe, expect, it } from '@jest/globals';
import { Controller, Get, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import fastify from 'fastify';
import { offlineAuthority } from '../../../test/api/offline-authority.js';
import { Access, bearerToken, enforceAccess } from './access.js';

@Controller()
class Declared {
  @Get('declared')
  @Access('public')
  declared() {
    return {};
  }
}

@Controller()
class Forgotten {
  @Get('forgotten')
  forgotten() {
    return {};
  }
}

@Module({ controllers: [Declared] })
class DeclaredModule {}

@Module({ controllers: [Declared, Forgotten] })
class ForgottenModule {}

async function start(module: typeof DeclaredModule): Promise<void> {
  const adapter = new FastifyAdapter({ skipMiddie: true });
  enforceAccess(adapter.getInstance(), offlineAuthority().authority);
  const app = await NestFactory.create<NestFastifyApplication>(module, adapter, { logger: false, abortOnError: false });
  await app.init();
  await app.close();
}

describe('access', () => {
  it('stops the start when a controller route declares none', async () => {
    await expect(start(ForgottenModule)).rejects.toThrow('GET /forgotten declares no access');
    await expect(start(DeclaredModule)).resolves.toBeUndefined();
  });

  it('stops the start when a plain route declares none', () => {
    const instance = fastify();
    enforceAccess(instance, offlineAuthority().authority);
    expect(() => instance.get('/forgotten', () => ({}))).toThrow('declares no access');
    expect(() => instance.get('/declared', { config: { access: 'public' } }, () => ({}))).not.toThrow();
  });

  it('lets nobody through to a route that is not public without a token', async () => {
    const instance = fastify();
    enforceAccess(instance, offlineAuthority().authority);
    let reached = 0;
    instance.get('/x', { config: { access: 'device:read' } }, () => ({ reached: ++reached }));
    await instance.inject('/x');
    await instance.inject({ url: '/x', headers: { authorization: 'Bearer tmo1_x' } });
    expect(reached).toBe(0);
  });

  it('reads a bearer token in any case of the scheme, and nothing else', () => {
    expect(bearerToken('bearer  abc_1')).toBe('abc_1');
    for (const header of [undefined, '', 'Basic abc', 'Bearer', 'Bearer a b', 'Bearerabc'])
      expect(bearerToken(header)).toBeUndefined();
  });
});
