//! Faults for tests. They are settings of a node, so that no test needs a hook in the code.

/// A fault that a test injects into a node of its own. Only builds with debug assertions act on
/// it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InjectedFault {
    /// A published message with this event panics in its connection's task.
    PanicOnEvent(String),
}
