import { Body, Controller, Get, Param, Post } from '@nestjs/common';
import type { z } from 'zod';
import {
  callRenewal,
  importCrl,
  issuerRequest,
  issuersToCome,
  proposeCrossSigning,
  proposeIssuer,
  proposeIssuerActivation,
  proposeIssuerImport,
  proposeIssuerRevocation,
  proposeIssuerRollover,
  type Actor,
  type AuthorityContext,
  type IssuerToCome,
} from '#authority';
import { fromPem, toPem } from '#pki';
import { Access, callerOf } from '../access.js';
import { Answers } from '../answers.js';
import { By, Http, TheAuthority, type Exchange } from '../authority-module.js';
import { BUNDLE_BODY_BYTES, CRL_BODY_BYTES } from '../body.js';
import { needsApproval, proposedSchema } from '../proposals.js';
import {
  blocks,
  comingJson,
  crlImport,
  crlImported,
  crossSigning,
  issuerCreation,
  issuerImport,
  issuerJson,
  issuerOrComing,
  issuerPage,
  issuerRevocation,
  issuerRollover,
  issuerWithLinksJson,
  requestShown,
} from '../schema/issuers.js';
import { calledJson, renewalCall, renewalCalledSchema } from '../schema/renewals.js';
import { nothing } from '../schema/values.js';
import { found, issuerId } from './path-forms.js';

/** A short list that never needs a second page, in the form that every list has. Almost every change needs a second person. */
@Controller('v1/issuers')
export class IssuerRoutes {
  constructor(@TheAuthority() private readonly a: AuthorityContext) {}

  @Get()
  @Access('issuer:read')
  @Answers('List the certification authorities', issuerPage)
  async list(@By() by: Actor, @Http() http: Exchange) {
    const items = (await this.a.issuers.list()).map(issuerJson);
    return { items, nextCursor: null, coming: (await this.coming(by, http)).map(comingJson) };
  }

  @Get(':id')
  @Access('issuer:read')
  @Answers('A certification authority, with every other certificate of its key or by it', issuerOrComing)
  async show(@By() by: Actor, @Http() http: Exchange, @Param('id', issuerId) id: string) {
    const issuer = await this.a.issuers.find(id);
    if (issuer !== undefined) return issuerWithLinksJson(issuer, await this.a.issuers.links());
    return comingJson(
      found(
        (await this.coming(by, http)).find((one) => one.id === id),
        'issuer',
      ),
    );
  }

  /** What is not decided is told to who may read approvals, as these are. */
  private async coming(by: Actor, { request }: Exchange): Promise<IssuerToCome[]> {
    return callerOf(request).permissions.has('approval:read') && by.authority ? issuersToCome(this.a, by) : [];
  }

  @Post()
  @Access('issuer:change')
  @Answers('Propose a new CA; an issuing one issues once it is activated', proposedSchema, 202)
  create(
    @By() by: Actor,
    @Http() http: Exchange,
    @Body({ schema: issuerCreation }) body: z.infer<typeof issuerCreation>,
  ) {
    return needsApproval(this.a, by, http, (joined) => proposeIssuer(joined, by, body));
  }

  @Post(':id/renew-now')
  @Access('renewal:call')
  @Answers('Call for the renewal of every certificate that this CA issued up to now', renewalCalledSchema)
  async renewNow(
    @By() by: Actor,
    @Param('id', issuerId) id: string,
    @Body({ schema: renewalCall }) { reason }: z.infer<typeof renewalCall>,
  ) {
    return calledJson(await callRenewal(this.a, by, { kind: 'issuer', id, reason }));
  }

  @Post(':id/activate')
  @Access('issuer:change')
  @Answers('Propose that this CA issues from now on, and the one that does so now is retired', proposedSchema, 202)
  activate(
    @By() by: Actor,
    @Http() http: Exchange,
    @Param('id', issuerId) id: string,
    @Body({ schema: nothing }) _: z.infer<typeof nothing>,
  ) {
    return needsApproval(this.a, by, http, (joined) => proposeIssuerActivation(joined, by, id));
  }

  @Post(':id/revoke')
  @Access('issuer:change')
  @Answers('Propose to revoke a CA, and with it everything that it issued', proposedSchema, 202)
  revoke(
    @By() by: Actor,
    @Http() http: Exchange,
    @Param('id', issuerId) id: string,
    @Body({ schema: issuerRevocation }) body: z.infer<typeof issuerRevocation>,
  ) {
    return needsApproval(this.a, by, http, (joined) => proposeIssuerRevocation(joined, by, id, body.reason));
  }

  @Post(':id/rollover')
  @Access('issuer:change')
  @Answers('Propose another key for this CA, beside the old one and under the same name', proposedSchema, 202)
  rollover(
    @By() by: Actor,
    @Http() http: Exchange,
    @Param('id', issuerId) id: string,
    @Body({ schema: issuerRollover }) body: z.infer<typeof issuerRollover>,
  ) {
    return needsApproval(this.a, by, http, (joined) => proposeIssuerRollover(joined, by, id, body));
  }

  @Post(':id/cross-sign')
  @Access('issuer:change')
  @Answers('Propose that this CA certifies the key of another one', proposedSchema, 202)
  crossSign(
    @By() by: Actor,
    @Http() http: Exchange,
    @Param('id', issuerId) id: string,
    @Body({ schema: crossSigning }) body: z.infer<typeof crossSigning>,
  ) {
    const wish = {
      ...body,
      csr: body.csr && blocks(body.csr, 'CERTIFICATE REQUEST')[0],
      certificate: body.certificate && blocks(body.certificate, 'CERTIFICATE')[0],
    };
    return needsApproval(this.a, by, http, (joined) => proposeCrossSigning(joined, by, id, wish));
  }

  @Get(':id/csr')
  @Access('issuer:change')
  @Answers('The request (PKCS#10) of a CA that waits for its certificate', requestShown)
  async request(@By() by: Actor, @Param('id', issuerId) id: string) {
    return { issuerId: id, pem: toPem('CERTIFICATE REQUEST', await issuerRequest(this.a, by, id)) };
  }

  @Post(':id/import')
  @Access('issuer:change', { bodyBytes: BUNDLE_BODY_BYTES })
  @Answers('Propose the certificate that was made elsewhere for this CA', proposedSchema, 202)
  import(
    @By() by: Actor,
    @Http() http: Exchange,
    @Param('id', issuerId) id: string,
    @Body({ schema: issuerImport }) body: z.infer<typeof issuerImport>,
  ) {
    const wish = {
      certificate: blocks(body.certificate, 'CERTIFICATE')[0]!,
      chain: blocks(body.chain, 'CERTIFICATE'),
      crls: blocks(body.crls, 'X509 CRL'),
    };
    return needsApproval(this.a, by, http, (joined) => proposeIssuerImport(joined, by, id, wish));
  }

  @Post(':id/crl')
  @Access('issuer:change', { bodyBytes: CRL_BODY_BYTES })
  @Answers('Bring in the next CRL of a CA whose key is kept elsewhere', crlImported, 200)
  importCrl(
    @By() by: Actor,
    @Param('id', issuerId) id: string,
    @Body({ schema: crlImport }) body: z.infer<typeof crlImport>,
  ) {
    return importCrl(this.a, by, id, fromPem(body.crl, 'X509 CRL')[0]!);
  }
}
