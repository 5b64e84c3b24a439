//! Invocations at the same time, on one thread: each call of each of them is a turn.

use std::task::{Context, Poll, Waker};

use domain::{Result, Step};
use events::Received;
use serde_json::Value;

use crate::{Pipeline, pipeline::Message};

impl Pipeline {
    /// Handles the visible messages of these functions at the same time; before each call of each of them
    /// `choose` says whose turn it is. Its answer is the place of an invocation that isn't over yet; it is told
    /// which those are.
    ///
    /// # Panics
    /// When it isn't one of those.
    pub fn together(&mut self, functions: &[&str], mut choose: impl FnMut(&[usize]) -> usize) {
        let queue = std::mem::take(&mut self.queue);
        let of_them = |message: &Message| functions.contains(&message.function.as_str());
        let (messages, rest): (Vec<Message>, Vec<Message>) = queue.into_iter().partition(of_them);
        self.queue = rest.into();
        self.world.take_turns(true);
        let mut answers: Vec<Option<Result<Step<Value>>>> = messages.iter().map(|_| None).collect();
        {
            let this = &*self;
            let mut invocations: Vec<_> = messages
                .iter()
                .map(|message| {
                    Box::pin(async move {
                        let received = Received::from_value(message.envelope.clone())?;
                        this.invocation(&message.function, received).await
                    })
                })
                .collect();
            loop {
                let open: Vec<usize> = (0..answers.len())
                    .filter(|at| answers[*at].is_none())
                    .collect();
                if open.is_empty() {
                    break;
                }
                let turn = choose(&open);
                let mut context = Context::from_waker(Waker::noop());
                if let Poll::Ready(answer) = invocations[turn].as_mut().poll(&mut context) {
                    answers[turn] = Some(answer);
                }
            }
        }
        self.world.take_turns(false);
        for (message, answer) in messages.into_iter().zip(answers) {
            if let Some(answer) = answer {
                self.answered(message, answer);
            }
        }
    }
}
