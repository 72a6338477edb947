import { Body, Controller, Delete, Get, Param, Post, Put } from '@nestjs/common';
import type { z } from 'zod';
import {
  currentAnchors,
  currentAnchorSets,
  proposeAnchorsChange,
  proposeAnchorsWithdrawal,
  storeCrl,
  type Actor,
  type AuthorityContext,
  type CurrentAnchors,
} from '#authority';
import { AuthorityError } from '#kernel';
import { fromPem } from '#pki';
import { findApp } from '#store';
import { Access } from '../access.js';
import { Answers } from '../answers.js';
import { By, Http, read, TheAuthority, type Exchange } from '../authority-module.js';
import { BUNDLE_BODY_BYTES, CRL_BODY_BYTES } from '../body.js';
import { needsApproval, proposedSchema } from '../proposals.js';
import {
  crlUpload,
  storedCrlJson,
  storedCrlSchema,
  trustAnchorsChange,
  trustAnchorsJson,
  trustAnchorsPage,
  trustAnchorsSchema,
} from '../schema/trust-anchors.js';
import { found } from './path-forms.js';

/** A set is seen by whom its app is seen by. Every change needs a second person; a CRL speaks for itself. */
@Controller('v1/trust-anchors')
export class TrustAnchorRoutes {
  constructor(@TheAuthority() private readonly a: AuthorityContext) {}

  @Get()
  @Access('anchors:read')
  @Answers('List the sets of trust anchors as they are now', trustAnchorsPage)
  async list(@By() by: Actor) {
    const sets: CurrentAnchors[] = [];
    for (const set of currentAnchorSets(this.a)) if (await this.sees(by, set)) sets.push(set);
    return { items: sets.map(trustAnchorsJson), nextCursor: null };
  }

  @Get(':name')
  @Access('anchors:read')
  @Answers('Get a set of trust anchors', trustAnchorsSchema)
  async get(@By() by: Actor, @Param('name') name: string) {
    return trustAnchorsJson(await this.require(by, name));
  }

  @Put(':name')
  @Access('anchors:change', { bodyBytes: BUNDLE_BODY_BYTES })
  @Answers('Propose a set of trust anchors, or what it says from then on', proposedSchema, 202)
  change(
    @By() by: Actor,
    @Http() http: Exchange,
    @Param('name') name: string,
    @Body({ schema: trustAnchorsChange }) body: z.infer<typeof trustAnchorsChange>,
  ) {
    return needsApproval(this.a, by, http, (joined) => proposeAnchorsChange(joined, by, name, body));
  }

  @Delete(':name')
  @Access('anchors:change')
  @Answers('Propose that a set of trust anchors is withdrawn', proposedSchema, 202)
  withdraw(@By() by: Actor, @Http() http: Exchange, @Param('name') name: string) {
    return needsApproval(this.a, by, http, (joined) => proposeAnchorsWithdrawal(joined, by, name));
  }

  @Post(':name/crls')
  @Access('anchors:crl', { bodyBytes: CRL_BODY_BYTES })
  @Answers('Bring the revocation list of an authority of the set; it counts from then on', storedCrlSchema)
  async bring(
    @By() by: Actor,
    @Param('name') name: string,
    @Body({ schema: crlUpload }) body: z.infer<typeof crlUpload>,
  ) {
    await this.require(by, name);
    return storedCrlJson(await storeCrl(this.a, by, name, bytesOf(body.crl)));
  }

  private async require(by: Actor, name: string): Promise<CurrentAnchors> {
    const set = currentAnchors(this.a, name);
    return found(set !== undefined && (await this.sees(by, set)) ? set : undefined, 'set of trust anchors');
  }

  private async sees(by: Actor, { appId }: CurrentAnchors): Promise<boolean> {
    return (await read(this.a, by, (tx) => findApp(tx, appId))) !== undefined;
  }
}

function bytesOf(text: string): Buffer {
  if (text.includes('-----BEGIN')) return fromPem(text, 'X509 CRL')[0] ?? Buffer.alloc(0);
  const base64 = text.replaceAll(/\s/g, '');
  const bytes = Buffer.from(base64, 'base64');
  if (bytes.length > 0 && bytes.toString('base64') === base64) return bytes;
  throw new AuthorityError('malformed', 'crl: must be PEM or base64', { member: 'crl' });
}
