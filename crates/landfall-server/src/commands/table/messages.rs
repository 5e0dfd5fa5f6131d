//! The commands of messages between clients.
//! What they mean is in the family's own file; here they are only described.

use super::server::help;
use crate::commands::spec::{Flags, Spec};
use crate::commands::{introspection, messages};

const OURS: Flags = Flags::PUBSUB;

pub(super) const MESSAGES: &[Spec] = &[
    Spec::session("SUBSCRIBE", -2, messages::subscribe, "Listens to channels.")
        .also(OURS)
        .alone()
        .since("2.0.0")
        .differs(LISTENING),
    Spec::session("PSUBSCRIBE", -2, messages::psubscribe, "Listens to all channels that match.")
        .also(OURS)
        .alone()
        .since("2.0.0")
        .differs(LISTENING),
    Spec::session("UNSUBSCRIBE", -1, messages::unsubscribe, "Listens to channels no more.")
        .also(OURS)
        .alone()
        .since("2.0.0"),
    Spec::session("PUNSUBSCRIBE", -1, messages::punsubscribe, "Listens to patterns no more.")
        .also(OURS)
        .alone()
        .since("2.0.0"),
    Spec::session("PUBLISH", 3, messages::publish, "Sends a message to who listens.").also(OURS).since("2.0.0").differs(&[
        "A message leaves with the replies of the turn: when what was written before it is as safe as promised. Nothing of it is logged, and nothing lands.",
    ]),
    Spec::session("PUBSUB", -2, introspection::help, "Who listens to what.").since("2.8.0").holds(PUBSUB),
];

const LISTENING: &[&str] =
    &["At most 10,000 channels a connection, 1,000 of them patterns; not between MULTI and EXEC."];

const PUBSUB: &[Spec] = &[
    Spec::session("CHANNELS", -2, messages::channels, "The channels that somebody listens to.")
        .also(OURS)
        .since("2.8.0"),
    Spec::session("NUMSUB", -2, messages::numsub, "How many listen to these channels.")
        .also(OURS)
        .since("2.8.0"),
    Spec::session("NUMPAT", 2, messages::numpat, "How many patterns are listened to.")
        .also(OURS)
        .since("2.8.0"),
    help("6.2.0"),
];
