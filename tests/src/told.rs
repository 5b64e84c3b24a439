//! Stories that tests disturb.

use memory::{Answers, Outcome};

use crate::{Story, What, scene};

/// The stories.
pub const STORIES: [Story; 33] = [
    Story {
        name: "a first upload",
        what: What::All,
        before: |_| (),
        tell: |pipeline| {
            scene::push_image(pipeline);
            scene::train_on(pipeline, 500);
        },
    },
    Story {
        name: "an upload before its image",
        what: What::MadeAndRunning,
        before: |_| (),
        tell: |pipeline| {
            let upload = scene::upload(pipeline, 500);
            pipeline.deliver(&upload);
            pipeline.settle();
            scene::push_image(pipeline);
        },
    },
    Story {
        name: "a broken upload",
        what: What::All,
        before: |_| (),
        tell: |pipeline| {
            let broken = scene::csv(500).replace("sales\n", "amount\n");
            let event = pipeline
                .world
                .upload(memory::DATA_BUCKET, "training/broken.csv", broken);
            pipeline.deliver(&event);
            pipeline.settle();
        },
    },
    Story {
        name: "a training that fails",
        what: What::All,
        before: |_| (),
        tell: |pipeline| {
            pipeline.world.script(
                |subject| subject.starts_with("training "),
                Outcome::Fails("out of memory".into()),
            );
            scene::push_image(pipeline);
            scene::train_on(pipeline, 500);
        },
    },
    Story {
        name: "a challenger",
        what: What::All,
        before: |_| (),
        tell: |pipeline| {
            scene::push_image(pipeline);
            for days in [500, 560] {
                let upload = scene::upload(pipeline, days);
                pipeline.deliver(&upload);
                pipeline.settle();
            }
        },
    },
    Story {
        name: "two months of pairs, and their uploads again",
        what: What::All,
        before: scene::push_image,
        tell: scene::last_months_pair_again,
    },
    Story {
        name: "a release that fails",
        what: What::All,
        before: |_| (),
        tell: |pipeline| {
            pipeline.world.script(
                |subject| subject.starts_with("rollout "),
                Outcome::Fails("no memory".into()),
            );
            scene::push_image(pipeline);
            scene::train_on(pipeline, 500);
        },
    },
    Story {
        name: "a weekly check that keeps",
        what: What::All,
        before: |_| (),
        tell: |pipeline| {
            scene::push_image(pipeline);
            scene::train_on(pipeline, 500);
            scene::refuse_a_challenger(pipeline);
            scene::monday(pipeline);
        },
    },
    Story {
        name: "a weekly check that trains again",
        what: What::All,
        before: |_| (),
        tell: |pipeline| {
            scene::push_image(pipeline);
            scene::train_on(pipeline, 500);
            scene::refuse_a_challenger(pipeline);
            pipeline
                .world
                .predict_with(|_| true, |row| 1.4 * scene::sales(row));
            scene::monday(pipeline);
        },
    },
    Story {
        name: "an override",
        what: What::All,
        before: |_| (),
        tell: |pipeline| {
            scene::push_image(pipeline);
            scene::train_on(pipeline, 500);
            scene::refuse_a_challenger(pipeline);
            scene::override_refusal(pipeline);
        },
    },
    Story {
        name: "two alarms after another image",
        what: What::MadeAndRunning,
        before: |pipeline| {
            scene::push_image(pipeline);
            scene::train_on(pipeline, 500);
            scene::push_another_image(pipeline, "build-2");
        },
        tell: |pipeline| {
            let release = scene::target(pipeline).release;
            for name in ["Error-Rate", "Latency"] {
                let alarm = scene::alarm(pipeline, name, &release);
                pipeline.deliver(&alarm);
            }
            pipeline.settle();
        },
    },
    Story {
        name: "an alarm after another model",
        what: What::All,
        before: |pipeline| {
            scene::push_image(pipeline);
            scene::train_on(pipeline, 500);
            scene::train_on(pipeline, 560);
        },
        tell: |pipeline| {
            let release = scene::target(pipeline).release;
            let alarm = scene::alarm(pipeline, "Error-Rate", &release);
            pipeline.deliver(&alarm);
            pipeline.settle();
        },
    },
    Story {
        name: "an alarm by its event and by its action",
        what: What::All,
        before: |pipeline| {
            scene::push_image(pipeline);
            scene::train_on(pipeline, 500);
            scene::train_on(pipeline, 560);
        },
        tell: |pipeline| {
            let release = scene::target(pipeline).release;
            let alarm = scene::alarm(pipeline, "Error-Rate", &release);
            pipeline.send("roll-back", &scene::direct(&alarm));
            pipeline.deliver(&alarm);
            pipeline.settle();
        },
    },
    Story {
        // A failed verification may come first.
        name: "an endpoint update that comes back",
        what: What::MadeAndRunning,
        before: |pipeline| {
            scene::push_image(pipeline);
            scene::train_on(pipeline, 500);
            scene::let_endpoint_updates_come_back(pipeline);
        },
        tell: |pipeline| scene::train_on(pipeline, 560),
    },
    Story {
        // Any of the three may be called the cause.
        name: "an endpoint's alarm, its action and its update that comes back",
        what: What::MadeAndRunning,
        before: |pipeline| {
            scene::push_image(pipeline);
            scene::train_on(pipeline, 500);
            scene::let_endpoint_updates_come_back(pipeline);
            scene::deploy_the_challenger(pipeline);
        },
        tell: |pipeline| {
            let config = scene::expected(pipeline);
            let alarm = scene::endpoint_alarm(pipeline, &config);
            pipeline.deliver(&alarm);
            pipeline.send("roll-back", &scene::direct(&alarm));
            pipeline.settle();
        },
    },
    Story {
        name: "a way back that is barred",
        what: What::All,
        before: |pipeline| {
            scene::push_image(pipeline);
            scene::train_on(pipeline, 500);
            scene::push_another_image(pipeline, "build-2");
            pipeline
                .world
                .edit_deployment(|deployment| deployment.paused = true);
        },
        tell: |pipeline| {
            let release = scene::target(pipeline).release;
            let alarm = scene::alarm(pipeline, "Error-Rate", &release);
            pipeline.deliver(&alarm);
            pipeline.settle();
        },
    },
    Story {
        name: "a person's request after a way back was given up",
        what: What::All,
        before: |pipeline| {
            scene::push_image(pipeline);
            scene::train_on(pipeline, 500);
            scene::push_another_image(pipeline, "build-2");
            scene::pause(pipeline, true);
            let release = scene::target(pipeline).release;
            let alarm = scene::alarm(pipeline, "Error-Rate", &release);
            pipeline.deliver(&alarm);
            pipeline.settle();
            scene::pause(pipeline, false);
        },
        tell: scene::ask_to_go_back,
    },
    Story {
        name: "another image while the Deployment is paused",
        what: What::All,
        before: |pipeline| {
            scene::push_image(pipeline);
            scene::train_on(pipeline, 500);
            scene::pause(pipeline, true);
        },
        tell: |pipeline| scene::push_another_image(pipeline, "build-2"),
    },
    Story {
        name: "another image in the place of one that was abandoned",
        what: What::All,
        before: |pipeline| {
            scene::push_image(pipeline);
            scene::train_on(pipeline, 500);
            pipeline.lose("DeploymentStarted");
            scene::push_another_image(pipeline, "build-2");
            pipeline.lose("nothing");
            pipeline.world.advance(std::time::Duration::from_mins(41));
        },
        tell: |pipeline| scene::push_another_image(pipeline, "build-3"),
    },
    Story {
        name: "another image with another setting, one of them bad",
        what: What::All,
        before: |pipeline| {
            scene::push_image(pipeline);
            scene::train_on(pipeline, 500);
        },
        tell: |pipeline| scene::push_another_image_and_setting(pipeline, 1.5),
    },
    Story {
        name: "an alarm after another image and setting, both innocent",
        what: What::All,
        before: |pipeline| {
            scene::push_image(pipeline);
            scene::train_on(pipeline, 500);
            scene::push_another_image_and_setting(pipeline, 1.0);
        },
        tell: |pipeline| {
            let release = scene::target(pipeline).release;
            let alarm = scene::alarm(pipeline, "Latency", &release);
            pipeline.deliver(&alarm);
            pipeline.settle();
        },
    },
    Story {
        name: "a request after another model and image, the model bad",
        what: What::All,
        before: |pipeline| {
            scene::skip_a_quarantined_refuge(pipeline);
            let third = pipeline.world.packages()[2].model_uri.clone();
            pipeline
                .world
                .predict_with(move |uri| uri == third, |_| 0.0);
        },
        tell: |pipeline| {
            let release = scene::target(pipeline).release;
            scene::ask_to_go_back_from(pipeline, &release);
        },
    },
    Story {
        name: "a lift, and what was lifted goes live",
        what: What::All,
        before: |pipeline| {
            scene::push_image(pipeline);
            scene::train_on(pipeline, 500);
            scene::push_another_image(pipeline, "build-2");
            let release = scene::target(pipeline).release;
            let alarm = scene::alarm(pipeline, "Error-Rate", &release);
            pipeline.deliver(&alarm);
            pipeline.settle();
        },
        tell: |pipeline| {
            scene::lift_all(pipeline);
            scene::scan_again(pipeline);
        },
    },
    Story {
        name: "a lift of a combination and of the part that was found guilty",
        what: What::All,
        before: |pipeline| {
            scene::push_image(pipeline);
            scene::train_on(pipeline, 500);
            scene::push_another_image_and_setting(pipeline, 1.5);
            pipeline.world.distort(|_, _| true, 1.0);
        },
        tell: |pipeline| {
            scene::lift_all(pipeline);
            scene::scan_again(pipeline);
        },
    },
    Story {
        name: "a canary that passes",
        what: What::All,
        before: |pipeline| {
            scene::push_image(pipeline);
            scene::train_on(pipeline, 500);
            pipeline.set_for_deployments("STRATEGY", "canary");
        },
        tell: |pipeline| scene::push_another_image(pipeline, "build-2"),
    },
    Story {
        name: "a canary that does worse",
        what: What::All,
        before: |pipeline| {
            scene::push_image(pipeline);
            scene::train_on(pipeline, 500);
            pipeline.set_for_deployments("STRATEGY", "canary");
            let live = scene::target(pipeline).release;
            pipeline.world.measure(move |release| {
                Some(Answers {
                    requests: 100.0,
                    error_rate_percent: if release == live { 0.0 } else { 30.0 },
                    latency_ms: 10.0,
                })
            });
        },
        tell: |pipeline| scene::push_another_image(pipeline, "build-2"),
    },
    Story {
        name: "a clean image",
        what: What::All,
        before: |pipeline| {
            scene::push_image(pipeline);
            scene::train_on(pipeline, 500);
        },
        tell: |pipeline| scene::push_another_image(pipeline, "build-2"),
    },
    Story {
        name: "a vulnerable image",
        what: What::All,
        before: |pipeline| {
            scene::push_image(pipeline);
            scene::train_on(pipeline, 500);
        },
        tell: |pipeline| {
            scene::push(pipeline, &["latest-dev", "build-2"], &[("HIGH", 1)]);
        },
    },
    Story {
        name: "an image that gets the environment's tag long after its scan",
        what: What::All,
        before: |pipeline| {
            scene::push_image(pipeline);
            scene::train_on(pipeline, 500);
        },
        tell: |pipeline| {
            let digest = scene::push(pipeline, &["build-2"], &[]);
            scene::tag(pipeline, &digest, "latest-dev");
        },
    },
    Story {
        name: "an image that is asked for, since no event of it came",
        what: What::All,
        before: |pipeline| {
            scene::push_image(pipeline);
            scene::train_on(pipeline, 500);
            scene::push_unheard(pipeline);
        },
        tell: |pipeline| {
            scene::ask_for(pipeline, None, "ann-1");
        },
    },
    Story {
        name: "an image that is asked for, and is live",
        what: What::All,
        before: |pipeline| {
            scene::push_image(pipeline);
            scene::train_on(pipeline, 500);
        },
        tell: |pipeline| {
            scene::ask_for(pipeline, None, "ann-1");
        },
    },
    Story {
        name: "a rejected package",
        what: What::All,
        before: |pipeline| {
            scene::push_image(pipeline);
            scene::train_on(pipeline, 500);
        },
        tell: scene::reject_the_live_package,
    },
    Story {
        name: "a pending approval, which is given",
        what: What::All,
        before: |pipeline| {
            scene::push_image(pipeline);
            scene::train_on(pipeline, 500);
            scene::refuse_a_challenger(pipeline);
        },
        tell: |pipeline| {
            scene::override_refusal(pipeline);
            let packages = pipeline.world.packages();
            for package in packages.iter().skip(1) {
                scene::approve(pipeline, &package.arn);
            }
        },
    },
];
