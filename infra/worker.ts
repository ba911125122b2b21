/** One Lambda function, with a role that can do what is listed and nothing else, and logs of its own. */
import { Duration, type RemovalPolicy, type Size } from 'aws-cdk-lib';
import { type IGrantable, type IPrincipal, PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { Architecture, type Code, Function as LambdaFunction, Runtime, Tracing } from 'aws-cdk-lib/aws-lambda';
import { SqsDestination } from 'aws-cdk-lib/aws-lambda-destinations';
import { SqsEventSource } from 'aws-cdk-lib/aws-lambda-event-sources';
import { LogGroup, type RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { IBucket } from 'aws-cdk-lib/aws-s3';
import { Construct } from 'constructs';
import { acknowledge, acknowledgeWildcards } from './acknowledge.ts';
import { bundledCode } from './bundling.ts';
import type { FunctionName } from './props.ts';
import type { FunctionSettings, QueuedSettings } from './settings.ts';
import type { WorkQueue } from './work-queue.ts';

/** What all functions of a backup share. */
export interface FunctionContext {
  readonly bucket: IBucket;
  readonly root: string;
  readonly namespace: string;
  readonly metricsPerDatabase: boolean;
  readonly logLevel: string;
  readonly logRetention: RetentionDays;
  readonly logRemovalPolicy: RemovalPolicy;
  readonly tracing: boolean;
  readonly code: Partial<Readonly<Record<FunctionName, Code>>>;
}

export interface WorkerProps {
  readonly name: FunctionName;
  readonly description: string;
  readonly settings: FunctionSettings;
  readonly environment?: Readonly<Record<string, string>>;
  readonly permissions: readonly PolicyStatement[];
  readonly disk?: Size;
  /** The queue for asynchronous invocations that failed every time. */
  readonly failures?: WorkQueue;
}

export class Worker extends Construct implements IGrantable {
  readonly function: LambdaFunction;
  readonly role: Role;
  readonly logGroup: LogGroup;
  readonly grantPrincipal: IPrincipal;

  constructor(scope: Construct, id: string, workplace: FunctionContext, props: WorkerProps) {
    super(scope, id);
    const { name, settings, failures } = props;
    this.role = new Role(this, 'Role', {
      assumedBy: new ServicePrincipal('lambda.amazonaws.com'),
      description: `What seawall's function ${name} may do`,
    });
    this.grantPrincipal = this.role;
    this.logGroup = new LogGroup(this, 'Logs', {
      retention: workplace.logRetention,
      removalPolicy: workplace.logRemovalPolicy,
    });
    for (const statement of props.permissions)
      this.allow(statement, 'one database or another: the function works on all');
    this.role.addToPrincipalPolicy(
      new PolicyStatement({
        actions: ['logs:CreateLogStream', 'logs:PutLogEvents'],
        resources: [this.logGroup.logGroupArn],
      }),
    );
    allowKey(workplace.bucket.encryptionKey, this);
    this.function = new LambdaFunction(this, 'Function', {
      description: props.description,
      runtime: Runtime.NODEJS_24_X,
      architecture: Architecture.ARM_64,
      code: workplace.code[name] ?? bundledCode(name),
      handler: 'index.handler',
      role: this.role,
      logGroup: this.logGroup,
      memorySize: settings.memorySize,
      timeout: settings.timeout,
      tracing: workplace.tracing ? Tracing.ACTIVE : Tracing.DISABLED,
      environment: {
        SEAWALL_BUCKET: workplace.bucket.bucketName,
        SEAWALL_ROOT: workplace.root,
        SEAWALL_METRICS_NAMESPACE: workplace.namespace,
        SEAWALL_METRICS_PER_DATABASE: String(workplace.metricsPerDatabase),
        SEAWALL_LOG_LEVEL: workplace.logLevel,
        ...props.environment,
      },
      ...(settings.reservedConcurrency !== undefined && { reservedConcurrentExecutions: settings.reservedConcurrency }),
      ...(props.disk !== undefined && { ephemeralStorageSize: props.disk }),
      ...(failures === undefined
        ? { retryAttempts: 0 }
        : { retryAttempts: 2, maxEventAge: Duration.hours(1), onFailure: new SqsDestination(failures.deadLetters) }),
    });
    if (workplace.tracing) {
      acknowledge(
        this.role,
        'AwsSolutions-IAM5[Resource::*]',
        'X-Ray has no resources to name in xray:PutTraceSegments',
      );
    }
  }

  /** Stars in the statement's resources are meant for this reason. */
  allow(statement: PolicyStatement, reason: string): void {
    this.role.addToPrincipalPolicy(statement);
    acknowledgeWildcards(this.role, statement.resources, reason);
  }

  /** Has the function called with the queue's messages; those it names as failed come again. */
  feedFrom({ queue }: WorkQueue, settings: QueuedSettings, window?: Duration): void {
    this.function.addEventSource(
      new SqsEventSource(queue, {
        batchSize: settings.batchSize,
        maxConcurrency: settings.maxConcurrency,
        reportBatchItemFailures: true,
        ...(window !== undefined && window.toSeconds() > 0 && { maxBatchingWindow: window }),
      }),
    );
  }
}

/** Lets `grantee` read and write objects that the key encrypts. Uploads in parts need both. */
export function allowKey(key: IKey | undefined, grantee: IGrantable, use: 'read' | 'write' = 'write'): void {
  key?.grant(grantee, 'kms:Decrypt', ...(use === 'write' ? ['kms:GenerateDataKey'] : []));
}
