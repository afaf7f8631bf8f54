//! The CONTEXT line of errors raised while we are at work.

use super::bindings;
use pgrx::pg_sys;
use std::ffi::{CString, c_void};

/// Adds one line of context to every error raised until it is dropped.
pub struct ErrorContext {
    frame: Box<Frame>,
}

struct Frame {
    callback: pg_sys::ErrorContextCallback,
    subject: String,
    position: i64,
}

impl ErrorContext {
    /// The line is `subject`, and ` at position N` once a position is set.
    pub fn push(subject: String) -> Self {
        let mut frame = Box::new(Frame {
            callback: pg_sys::ErrorContextCallback {
                previous: std::ptr::null_mut(),
                callback: Some(add_line),
                arg: std::ptr::null_mut(),
            },
            subject,
            position: 0,
        });
        let argument: *mut Frame = &mut *frame;
        frame.callback.arg = argument.cast::<c_void>();
        // SAFETY: the frame stays where it is (boxed) until it is taken off the stack in `drop`.
        unsafe {
            frame.callback.previous = pg_sys::error_context_stack;
            pg_sys::error_context_stack = &mut frame.callback;
        }
        Self { frame }
    }

    /// What we are at now.
    pub fn set_position(&mut self, position: i64) {
        self.frame.position = position;
    }
}

impl Drop for ErrorContext {
    fn drop(&mut self) {
        // SAFETY: frames are dropped in the reverse order of their pushes, also while an error
        // unwinds, so nothing on the stack points to freed memory.
        unsafe { pg_sys::error_context_stack = self.frame.callback.previous }
    }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn add_line(argument: *mut c_void) {
    // SAFETY: `argument` is the frame that `push` boxed, alive while it is on the stack.
    let frame = unsafe { &*argument.cast::<Frame>() };
    let line = format!("{} at global position {}", frame.subject, frame.position);
    let line = CString::new(line).unwrap_or_default();
    // SAFETY: called by PostgreSQL while it builds an error.
    unsafe { bindings::errcontext_msg(&line) }
}
