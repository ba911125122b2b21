/** Calls a function at regular intervals. */
import { Duration, Stack } from 'aws-cdk-lib';
import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Schedule, ScheduleExpression, ScheduleTargetInput } from 'aws-cdk-lib/aws-scheduler';
import { LambdaInvoke } from 'aws-cdk-lib/aws-scheduler-targets';
import { Construct } from 'constructs';
import type { WorkQueue } from './work-queue.ts';
import type { Worker } from './worker.ts';

export interface TimerProps {
  readonly worker: Worker;
  readonly every: Duration;
  readonly input: Readonly<Record<string, string>>;
  readonly description: string;
  readonly enabled: boolean;
  /** The queue for calls that could not be delivered. */
  readonly failures: WorkQueue;
}

export class Timer extends Construct {
  readonly schedule: Schedule;

  constructor(scope: Construct, id: string, { worker, every, input, description, enabled, failures }: TimerProps) {
    super(scope, id);
    const stack = Stack.of(this);
    const role = new Role(this, 'Role', {
      description: `Calls ${worker.node.id} by the clock`,
      assumedBy: new ServicePrincipal('scheduler.amazonaws.com', {
        conditions: {
          StringEquals: {
            'aws:SourceAccount': stack.account,
            'aws:SourceArn': stack.formatArn({
              service: 'scheduler',
              resource: 'schedule-group',
              resourceName: 'default',
            }),
          },
        },
      }),
    });
    role.addToPrincipalPolicy(
      new PolicyStatement({ actions: ['lambda:InvokeFunction'], resources: [worker.function.functionArn] }),
    );
    role.addToPrincipalPolicy(
      new PolicyStatement({ actions: ['sqs:SendMessage'], resources: [failures.deadLetters.queueArn] }),
    );
    this.schedule = new Schedule(this, 'Schedule', {
      description,
      enabled,
      schedule: ScheduleExpression.rate(every),
      target: new LambdaInvoke(worker.function, {
        role: role.withoutPolicyUpdates(), // otherwise CDK would also grant every version of the function
        deadLetterQueue: failures.deadLetters,
        retryAttempts: 5,
        maxEventAge: every.toDays({ integral: false }) > 1 ? Duration.days(1) : every,
        input: ScheduleTargetInput.fromObject(input),
      }),
    });
  }
}
