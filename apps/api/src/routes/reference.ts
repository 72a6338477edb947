import { createHash } from 'node:crypto';
import { Controller, Get, Inject } from '@nestjs/common';
import { ApiExcludeController, type OpenAPIObject } from '@nestjs/swagger';
import { Access } from '../access.js';
import { Http, type Exchange } from '../authority-module.js';
import { REFERENCE_STYLE, referencePage } from '../reference-page.js';

export const API_DOCUMENT = Symbol('api document');

const STYLE_HASH = createHash('sha256').update(REFERENCE_STYLE).digest('base64');
const PAGE_POLICY = `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; base-uri 'none'; frame-ancestors 'none'`;

/** The contract of this plane, for machines and for people. */
@ApiExcludeController()
@Controller()
export class ReferenceRoutes {
  constructor(@Inject(API_DOCUMENT) private readonly document: () => OpenAPIObject) {}

  @Get('openapi.json')
  @Access('public')
  openApi() {
    return this.document();
  }

  @Get('docs')
  @Access('public')
  docs(@Http() { reply }: Exchange) {
    void reply.header('content-type', 'text/html; charset=utf-8').header('content-security-policy', PAGE_POLICY);
    return referencePage(this.document());
  }
}
