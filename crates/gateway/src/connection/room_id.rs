//! The name of a room inside its worker. The worker's slab of rooms gives it out; a connection only
//! keeps it.

/// A place in the worker's slab of rooms. A place that is taken again has another generation, so
/// that an id which has outlived its room finds no other room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct RoomId {
    /// The place.
    pub(crate) index: u32,
    /// How many rooms had this place before.
    pub(crate) generation: u32,
}
